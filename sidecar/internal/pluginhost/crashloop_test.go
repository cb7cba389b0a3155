//go:build unix

package pluginhost

import (
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// A plugin that ends too often has failed; it is given another chance now and
// then, or as soon as somebody asks for it, and its events wait.
func TestCrashLoop(t *testing.T) {
	fail := func(t *testing.T, s *setup, p *Plugin) {
		t.Helper()
		for n := range s.timings.crashMax {
			s.log.wait(t, n+1, "plugin is ready")
			if err := syscall.Kill(p.Status().PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s.log.wait(t, n+1, "plugin is down")
		}
		s.log.wait(t, 1, "plugin is down", "state=failed", "3 crashes in 10m0s, the last: ", "signal: killed")
	}
	begin := func(t *testing.T, probe time.Duration) (*setup, *Plugin) {
		t.Helper()
		s := newSetup(t, nil, "hookswitch-plugin-good")
		s.timings.crashMax = 3
		s.timings.backoffBase = time.Millisecond
		s.timings.probe = probe
		s.start(t)
		p := s.plugin(t, "good")
		fail(t, s, p)
		return s, p
	}
	works := func(t *testing.T, p *Plugin) {
		t.Helper()
		if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeDone || p.Status().State != StateReady {
			t.Errorf("got %+v, status %+v", a, p.Status())
		}
	}
	t.Run("it is probed", func(t *testing.T) {
		t.Parallel()
		s, p := begin(t, 100*time.Millisecond)
		s.log.wait(t, 4, "plugin is ready")
		works(t, p)
	})
	t.Run("a reload does not wait for the probe", func(t *testing.T) {
		t.Parallel()
		s, p := begin(t, time.Hour)
		if st := p.Status(); st.State != StateFailed || st.PID != 0 {
			t.Errorf("status %+v", st)
		}
		if err := s.Reload(t.Context(), "good"); err != nil {
			t.Fatal(err)
		}
		works(t, p)
	})
}
