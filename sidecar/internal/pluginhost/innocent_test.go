//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
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
		if a.Outcome != delivery.OutcomeRetry || !slices.Equal(a.ErrorCodes, []int{codeRetry}) || !strings.Contains(a.Error, "the crm ") {
			t.Errorf("%s: got %+v", do, a)
		}
	}
	if st := p.Status(); st.Restarts != 0 || st.Crashed != 0 || st.Suspects != 0 {
		t.Errorf("status %+v", st)
	}
}

// A program that ends before it has said a word may never have seen the event,
// however often it does.
func TestProgramThatEndsBeforeItSpeaks(t *testing.T) {
	s := newSetup(t, func(c *Config) {
		writeManifest(t, c, "brief", `{"protocol":"jsonl","command":["sh","-c","sleep 0.1; exit 3"],"events":["*"]}`)
	})
	// None of them lives for so long, however busy the machine is.
	s.timings.backoffBase, s.launch.Timings.Settle, s.timings.prove = time.Millisecond, 10*time.Millisecond, time.Minute
	s.start(t)
	p := s.plugin(t, "brief")
	if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeLost || a.RetryAfter != crashRetry {
		t.Errorf("got %+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan error)
	go func() {
		work := task(1, "ack")
		work.Job.Attempts = 1
		a, err := p.Deliver(ctx, work)
		if err == nil {
			t.Errorf("the event went to a program that lives for a moment: %+v", a)
		}
		got <- err
	}()
	s.log.wait(t, 6, "plugin is down")
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if st := p.Status(); st.Suspects != 0 || st.Dead != 0 {
		t.Errorf("status %+v", st)
	}
}

// minimal is the program of PROTOCOL.md, which has no hello, in sh; it does not
// survive an event that says so.
const minimal = `while read -r line; do
	case "$line" in *poison*) exit 3;; esac
	seq=${line#*:}
	echo "{\"seq\":${seq%%,*},\"ok\":true}"
done`

// One event cannot keep a plugin down, though its program has never said a word
// when it dies of it.
func TestPoisonOfASilentProgram(t *testing.T) {
	s := newLines(t, nil, minimal, "")
	s.timings.backoffBase, s.launch.Timings.Settle, s.timings.prove = time.Millisecond, 10*time.Millisecond, 50*time.Millisecond
	s.timings.crashMax = defaultTimings().crashMax
	s.start(t)
	p := s.plugin(t, "lines")
	crashes := 0
	for ; ; crashes++ {
		work := task(1, "poison")
		work.Job.Attempts = crashes
		a := deliver(t, p, work)
		if a.Outcome == delivery.OutcomeFailed && strings.Contains(a.Error, "plugin_crashed") {
			break
		}
		if a.Outcome != delivery.OutcomeLost || crashes == s.timings.crashMax {
			t.Fatalf("got %+v after %d crashes", a, crashes)
		}
	}
	if crashes != suspectDead {
		t.Errorf("it was a dead letter after %d crashes", crashes+1)
	}
	s.log.wait(t, 1, "code=plugin-poisoned", "event-1")
	if a := deliver(t, p, task(2, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("the next event: %+v", a)
	}
}

// An event that the plugin does not survive does not wait for a proof of life if
// another has drawn a word from the process.
func TestPoisonAfterAnAnswer(t *testing.T) {
	s := newLines(t, nil, minimal, "")
	s.timings.backoffBase, s.launch.Timings.Settle, s.timings.prove = time.Millisecond, 10*time.Millisecond, time.Hour
	s.timings.crashMax = 5 // fewer than what three such events cause
	s.start(t)
	p := s.plugin(t, "lines")
	for id := range int64(3) {
		for attempts := 0; ; attempts++ {
			got := make(chan delivery.Attempt, 1)
			go func() {
				work := task(id, "poison")
				work.Job.Attempts = attempts
				got <- deliver(t, p, work)
			}()
			if attempts > 0 { // it waits for this one
				if a := deliver(t, p, task(100+id, "ack")); a.Outcome != delivery.OutcomeDone && a.Outcome != delivery.OutcomeLost {
					t.Errorf("got %+v", a)
				}
			}
			if a := <-got; a.Outcome == delivery.OutcomeFailed {
				break
			} else if a.Outcome != delivery.OutcomeLost || attempts > 4 {
				t.Fatalf("got %+v", a)
			}
		}
	}
	awaitStatus(t, p, "the crashes of a dead letter are not the plugin's", func(st Status) bool { return st.State == StateReady })
}

// A plugin that dies may have died of an event that timed out, and that it still
// had.
func TestPluginThatHoldsALateEvent(t *testing.T) {
	s := newSetup(t, func(c *Config) { c.Timeout = 200 * time.Millisecond }, "good", "unary")
	s.launch.Timings.Grace, s.timings.backoffBase = 10*time.Millisecond, time.Millisecond
	s.timings.crashMax = defaultTimings().crashMax
	s.start(t)
	for _, name := range []string{"good", "unary"} {
		p := s.plugin(t, name)
		for attempts := range 4 {
			if a := deliver(t, p, task(1, "hang")); a.Outcome != delivery.OutcomeRetry {
				t.Errorf("%s: got %+v", name, a)
			}
			work := task(2, "exit")
			work.Job.Attempts = attempts
			if a := deliver(t, p, work); a.Outcome != delivery.OutcomeLost {
				t.Errorf("%s: got %+v", name, a)
			}
		}
		if st := p.Status(); st.Suspects != 0 {
			t.Errorf("%s: status %+v", name, st)
		}
		// But not for ever: there may always be one that is late.
		for attempts := excusesMax; ; attempts++ {
			deliver(t, p, task(1, "hang"))
			work := task(2, "exit")
			work.Job.Attempts = attempts
			if a := deliver(t, p, work); a.Outcome == delivery.OutcomeFailed {
				break
			} else if a.Outcome != delivery.OutcomeLost || attempts == s.timings.crashMax {
				t.Fatalf("%s: got %+v in attempt %d", name, a, attempts+1)
			}
		}
	}
}

// The schedule decides about an event with which the connection to a server broke
// again and again: others may use it.
func TestConnectionThatBreaks(t *testing.T) {
	k := kinds[slices.IndexFunc(kinds, func(k kindStart) bool { return k.kind == catalog.KindRemote })].start(t, nil,
		func(h *Host) { h.timings.backoffBase = 10 * time.Millisecond })
	for attempts := range 4 {
		got := make(chan delivery.Attempt)
		go func() {
			work := task(1, "hang")
			work.Job.Attempts = attempts
			got <- deliver(t, k.plugin, work)
		}()
		k.log.wait(t, attempts+1, "begun")
		k.crash()
		want := delivery.OutcomeLost
		if attempts >= suspectDead-1 {
			want = delivery.OutcomeRetry
		}
		if a := <-got; a.Outcome != want {
			t.Errorf("attempt %d: got %+v, want %s", attempts+1, a, want)
		}
	}
}
