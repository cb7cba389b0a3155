//go:build unix

package pluginhost

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Events become dead letters for the crashes that they cause, and for no others.

// A plugin may use the codes of a broken connection for trouble of its own.
func TestStatusOfAHandlerIsAnAnswer(t *testing.T) {
	s := startSetup(t, nil, "unary")
	p := s.plugin(t, "unary")
	for i, do := range []string{"unavailable", "cancelled", "unavailable", "unavailable"} {
		work := task(int64(i%2), do)
		work.Job.Attempts = i
		a := deliver(t, p, work)
		if a.Outcome != store.OutcomeRetry || !slices.Equal(a.ErrorCodes, []int{codeRetry}) || !strings.Contains(a.Error, "the crm ") {
			t.Errorf("%s: got %+v", do, a)
		}
	}
	if st := p.Status(); st.Restarts != 0 || st.Crashed != 0 || st.Suspects != 0 {
		t.Errorf("status %+v", st)
	}
}

// A program that ends before it has said a word may never have seen the event.
func TestProgramThatEndsBeforeItSpeaks(t *testing.T) {
	s := newSetup(t, func(c *Config) {
		writeManifest(t, c, "brief", `{"protocol":"jsonl","command":["sh","-c","read -r line; exit 3"],"events":["*"]}`)
	})
	s.limits.backoffBase, s.limits.settle = time.Millisecond, 10*time.Millisecond
	s.start(t)
	p := s.plugin(t, "brief")
	for attempts := range 5 {
		work := task(1, "ack")
		work.Job.Attempts = attempts
		if a := deliver(t, p, work); a.Outcome != store.OutcomeLost || a.RetryAfter != crashRetry {
			t.Errorf("got %+v", a)
		}
	}
	if st := p.Status(); st.Suspects != 0 {
		t.Errorf("status %+v", st)
	}
}

// A plugin that dies may have died of an event that timed out, and that it still
// had.
func TestPluginThatHoldsALateEvent(t *testing.T) {
	s := newSetup(t, func(c *Config) { c.Timeout = 200 * time.Millisecond }, "good", "unary")
	s.limits.grace, s.limits.backoffBase = 10*time.Millisecond, time.Millisecond
	s.start(t)
	for _, name := range []string{"good", "unary"} {
		p := s.plugin(t, name)
		for attempts := range 4 {
			if a := deliver(t, p, task(1, "hang")); a.Outcome != store.OutcomeRetry {
				t.Errorf("%s: got %+v", name, a)
			}
			work := task(2, "exit")
			work.Job.Attempts = attempts
			if a := deliver(t, p, work); a.Outcome != store.OutcomeLost {
				t.Errorf("%s: got %+v", name, a)
			}
		}
		if st := p.Status(); st.Suspects != 0 {
			t.Errorf("%s: status %+v", name, st)
		}
	}
}

// The schedule decides about an event with which the connection to a server broke
// again and again: others may use it.
func TestConnectionThatBreaks(t *testing.T) {
	k := kinds[slices.IndexFunc(kinds, func(k kindStart) bool { return k.kind == kindRemote })].start(t, nil,
		func(l *limits) { l.backoffBase = 10 * time.Millisecond })
	for attempts := range 4 {
		got := make(chan store.Attempt)
		go func() {
			work := task(1, "hang")
			work.Job.Attempts = attempts
			got <- deliver(t, k.plugin, work)
		}()
		k.log.wait(t, attempts+1, "begun")
		k.crash()
		want := store.OutcomeLost
		if attempts >= suspectDead-1 {
			want = store.OutcomeRetry
		}
		if a := <-got; a.Outcome != want {
			t.Errorf("attempt %d: got %+v, want %s", attempts+1, a, want)
		}
	}
}
