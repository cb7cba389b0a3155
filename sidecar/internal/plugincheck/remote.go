package plugincheck

import (
	"fmt"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// share tests what a server must tolerate that several hosts use.
func (s *session) share() {
	s.check("configure again", "no error, and events are taken as before: Configure may come more than once", func() (string, error) {
		ctx, cancel := s.within(s.cfg.StartTimeout)
		defer cancel()
		settings, err := s.entry.ReadSettings()
		if err != nil {
			return "", skip(err.Error())
		}
		if err := s.proc.Configure(ctx, s.Report.Name, settings); err != nil {
			return "", err
		}
		return s.oneEvent()
	})
	s.check("two hosts", "each has a stream of its own, and gets the results of its events", func() (string, error) {
		other := &session{v: s.v, violations: s.violations, Probe: startUntil(s.v.ctx, s.v.path, s.v.cfg.Config, process.Configured)}
		defer other.end()
		if p := other.Report.Problem; p != nil {
			return "", fmt.Errorf("a second connection: %w", asError(p))
		}
		if _, err := other.open(); err != nil {
			return "", fmt.Errorf("a second stream: %w", err)
		}
		for range 2 { // both are open at the same time, with their own seq
			for _, one := range []*session{other, s} {
				if _, err := one.oneEvent(); err != nil {
					return "", err
				}
			}
		}
		return "", nil
	})
}

// connectAgain connects again to a server, once after a drain and once after a loss.
func (v *verifier) connectAgain() {
	v.comeBack("connect again", "after a drain", func(s *session) error {
		_, err := s.underWay(verifyBatch) // and the connection is lost with these
		return err
	})
	v.comeBack("connect after a loss", "after a connection was lost with events under way", nil)
}

func (v *verifier) comeBack(name, when string, leave func(*session) error) {
	v.check(name, when+", another one is taken, and events on it", func() (string, error) {
		s := &session{v: v, violations: make(map[string]bool), Probe: startUntil(v.ctx, v.path, v.cfg.Config, process.Configured)}
		defer s.end()
		if p := s.Report.Problem; p != nil {
			return "", asError(p)
		}
		if _, err := s.open(); err != nil {
			return "", err
		}
		got, err := s.oneEvent()
		if err == nil && leave != nil {
			err = leave(s)
		}
		return got, err
	})
}

// notOurs reports the checks that apply to local processes as skipped.
func (v *verifier) notOurs() {
	for _, rule := range []struct{ name, want, why string }{
		{"run by hand", "it says what it is, and ends", "the server is not the host's to start"},
		{"broken settings", "errors in the answer of Configure", "others may be using the server with its current settings"},
		{"shutdown", "it ends", "the server is not the host's to stop"},
		{"signals", "events that are under way are finished", "the server is not the host's process"},
		{"lifeline", "it ends with the host", "the server is not the host's to stop"},
	} {
		v.check(rule.name, rule.want, func() (string, error) { return "", skip(rule.why) })
	}
}
