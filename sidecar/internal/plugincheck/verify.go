package plugincheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// VerifyConfig configures [Verify].
type VerifyConfig struct {
	Config

	// Event returns a new event that matches one of the patterns. Required.
	Event func(patterns []string) (*delivery.Event, error)
}

// Check is one rule of the protocol and whether a plugin follows it.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"` // Passed, Failed or Skipped
	Want   string `json:"want"`
	Got    string `json:"got,omitempty"`
	Took   Millis `json:"took_ms"`
}

// The results of a [Check]. It is skipped if the plugin lacks that optional part of
// the protocol, or if there was no way to test it.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped"
)

// Verify tests a plugin against the rules of plugins/PROTOCOL.md and calls report
// with each result. It starts several processes of the plugin, one after the
// other, and sends them real events. It reports whether no check failed.
func Verify(ctx context.Context, path string, cfg VerifyConfig, report func(Check)) bool {
	v := &verifier{ctx: ctx, path: path, cfg: cfg, report: report, ok: true}
	switch v.kind = catalog.KindOf(path); v.kind {
	case catalog.KindJSONL:
		if v.work() {
			v.strangeSettings()
			v.signals()
		}
	case catalog.KindRemote:
		if v.work() {
			v.connectAgain()
		}
		v.notOurs()
	default:
		v.byHand()
		if answers := v.work(); v.broken() && answers {
			v.signals()
			v.orphan()
		}
	}
	return v.ok
}

// verifier is one run of Verify.
type verifier struct {
	ctx    context.Context
	path   string
	cfg    VerifyConfig
	report func(Check)
	ok     bool
	kind   catalog.Kind

	settings bool // the plugin has settings
}

const (
	// verifyPing is how soon a ping must be answered, as for a host.
	verifyPing = 2 * time.Second

	// verifyEnd is how soon a plugin must end when told to, plus some time for a
	// busy machine.
	verifyEnd = 2*time.Second + 500*time.Millisecond

	// A plugin is watched after a signal for at least verifyWhile and
	// verifyRounds events.
	verifyWhile  = time.Second
	verifyRounds = 20

	verifyByHand = 5 * time.Second
	verifyBatch  = 16      // events sent at once, if the credit allows
	verifyMax    = 256     // the most events sent at once to use up the credit
	verifyBody   = 1 << 20 // bytes of the largest event that the sidecar accepts by default
)

// skip is an error that says why a check does not apply.
type skip string

func (s skip) Error() string { return string(s) }

// asError returns a problem in one line.
func asError(p *catalog.Problem) error {
	text := p.What
	if p.Detail != nil {
		text += ": " + strings.Join(p.Detail[:min(len(p.Detail), 5)], " | ")
	}
	return errors.New(text)
}

// check decides one rule. ask returns a remark about a plugin that follows it, or an
// error about one that does not.
func (v *verifier) check(name, want string, ask func() (string, error)) bool {
	if v.ctx.Err() != nil {
		v.ok = false
		return false
	}
	begun := time.Now()
	got, err := ask()
	if v.ctx.Err() != nil { // err is about that
		v.ok = false
		return false
	}
	c := Check{Name: name, Result: Passed, Want: want, Got: got, Took: Millis(time.Since(begun))}
	switch err := err.(type) {
	case nil:
	case skip:
		c.Result, c.Got = Skipped, string(err)
	default:
		c.Result, c.Got = Failed, err.Error()
		v.ok = false
	}
	v.report(c)
	return c.Result == Passed
}

// session is one process of the plugin.
type session struct {
	*Probe
	v          *verifier
	sender     sender
	next       uint64          // seq
	last       *delivery.Event // sent last
	violations map[string]bool // rules broken at any time, by their description

	failed bool // a check has failed
}

// check decides one rule, unless the process has ended after a failed check.
func (s *session) check(name, want string, ask func() (string, error)) bool {
	return s.v.check(name, want, func() (string, error) {
		if s.failed && s.gone() {
			return "", skip("the process has ended before")
		}
		got, err := ask()
		if _, skipped := err.(skip); err != nil && !skipped {
			s.failed = true
		}
		return got, err
	})
}

// gone reports whether the process has ended.
func (s *session) gone() bool {
	select {
	case <-s.proc.Dead(): // nil for a remote plugin
		return true
	default:
		return false
	}
}

// begin starts a process. If that fails it reports the failed check and returns nil.
func (v *verifier) begin(name string, until process.Stage) *session {
	s := &session{v: v, violations: make(map[string]bool)}
	ok := v.check(name, fmt.Sprintf("%s within %v", v.startWant(), cmp.Or(v.cfg.StartTimeout, DefaultStartTimeout)), func() (string, error) {
		s.Probe = startUntil(v.ctx, v.path, v.cfg.Config, until)
		if p := s.Report.Problem; p != nil {
			return "", asError(p)
		}
		got := fmt.Sprintf("%s, events %s", strings.TrimSpace(s.Report.Described+" "+s.Report.Version), strings.Join(s.Report.Patterns, " "))
		if until != process.Ready && len(s.Report.Warnings) > 0 {
			got += "; " + s.Report.Warnings[0]
		}
		return got, nil
	})
	if !ok {
		s.end()
		return nil
	}
	return s
}

func (v *verifier) startWant() string {
	switch v.kind {
	case catalog.KindJSONL:
		return "it starts, stays, and answers its settings if it has some,"
	case catalog.KindRemote:
		return "Describe and Configure"
	}
	return "handshake, Describe and Configure"
}

// end kills the process and removes what is left of it.
func (s *session) end() {
	if s.Probe != nil && s.proc != nil {
		s.proc.Kill()
	}
	if s.sender != nil {
		s.sender.close()
	}
	if s.Probe != nil && s.scratch != nil {
		s.scratch.close()
	}
}

// work goes through the life of one process. It reports whether the plugin answers
// events: if not, the remaining checks would only wait.
func (v *verifier) work() (answers bool) {
	s := v.begin("start", process.Configured)
	if s == nil {
		return false
	}
	defer s.end()
	v.settings = s.Report.Settings != ""
	if s.proc.Conn != nil {
		s.check("describe", "the same answer again, without side effects", s.describeAgain)
		s.check("health", `SERVING for the service "plugin", or no health check at all`, s.health)
	}
	if !s.check("credit", s.openWant(), s.open) ||
		!s.check("event", "one result, with the seq of the event", s.firstEvent) {
		return false
	}
	if s.proc.Lines != nil {
		s.check("hello", fmt.Sprintf("if there is one: max_in_flight up to %d, and what it can", link.WindowMax), s.hello)
	}
	s.contents()
	switch {
	case s.proc.Lines != nil:
		s.linesEnd()
	case s.proc.Remote():
		s.share()
		s.drainAndRest()
	default:
		s.drainAndRest()
		s.check("shutdown", "it ends by itself within 2 s of GRPCController/Shutdown, or does not have it", s.shutdown)
	}
	return true
}

// contents sends all kinds of events.
func (s *session) contents() {
	s.check("many events", "one result for each, in any order", s.newEvents(verifyBatch))
	s.check("full credit", "as many events at once as were granted, and a result for each", s.newEvents(verifyMax))
	s.check("1 MiB event", "a result", s.largeEvent)
	s.check("repeated event", "a result, when an event comes again with attempt 2", s.repeatedEvent)
	s.check("unusual text", "a result for a body with line separators, escaped zeros and lone surrogates", s.unusualText)
	s.check("broken body", "a result for a body that is not JSON, and the plugin keeps running", s.brokenBody)
	s.check("odd headers", "a result for headers that are repeated or were not UTF-8", s.oddHeaders)
	s.check("unknown fields", s.unknownWant(), s.unknownFields)
	if w, ok := s.sender.(*wire); ok {
		s.check("ping", fmt.Sprintf("the answer with the same id within %v, while events are under way", verifyPing),
			s.ifItCan("ping", func() (string, error) { return s.ping(w) }))
		s.check("cancel", "one result within 2 s for a cancelled event, and none for one that was never sent",
			s.ifItCan("cancel", func() (string, error) { return s.cancel(w) }))
	}
}

// drainAndRest ends the delivery of events to a plugin that speaks gRPC.
func (s *session) drainAndRest() {
	if w, ok := s.sender.(*wire); ok {
		s.check("drain", "the results of what it has, then Drained", func() (string, error) { return s.drain(w) })
	} else {
		s.check("deadline", "calls after one whose deadline has passed are answered", s.deadline)
	}
	s.check("nothing else", "no unexpected results, and no result without an outcome", s.nothingElse)
}

// broken gives a process settings that are not JSON. It reports whether the plugin
// starts at all.
func (v *verifier) broken() (starts bool) {
	s := v.begin("start again", process.Described)
	if s == nil {
		return false
	}
	defer s.end()
	v.check("broken settings", "errors in the answer to Configure, or it ignores them; not a crash", s.brokenSettings)
	return true
}

// signals sends a process the signals that terminals and service managers send.
func (v *verifier) signals() {
	want := "events under way at SIGTERM and SIGINT are finished, and later ones taken"
	if v.kind == catalog.KindJSONL {
		want += "; or it ends"
	}
	v.checkOne("signals", want, "start for signals", (*session).surviveSignals)
}

// orphan cuts the lifeline.
func (v *verifier) orphan() {
	v.checkOne("lifeline", "it ends by itself within 2 s of end-of-file on stdin, with events under way", "start for the lifeline", (*session).loseLifeline)
}

// checkOne decides one rule with a process of its own.
func (v *verifier) checkOne(name, want, start string, ask func(*session) (string, error)) {
	s := v.begin(start, process.Configured)
	if s == nil {
		return
	}
	defer s.end()
	v.check(name, want, func() (string, error) {
		if _, err := s.open(); err != nil {
			return "", err
		}
		return ask(s)
	})
}
