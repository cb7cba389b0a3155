//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

func TestResultsBecomeAttempts(t *testing.T) {
	s := startSetup(t, func(c *Config) { c.Timeout = 2 * time.Second }, "good")
	p := s.plugin(t, "good")
	tests := []struct {
		name, do string
		want     delivery.Attempt
	}{
		{"an ack is delivered", "ack",
			delivery.Attempt{Outcome: delivery.OutcomeDone, ResponseStatus: 200}},
		{"an error is retried by the schedule", "retry",
			delivery.Attempt{Outcome: delivery.OutcomeRetry, ResponseStatus: 503, ResponseBody: []byte("crm is down"),
				ErrorCodes: []int{75599}, Error: "plugin asks for a retry: crm is down"}},
		{"RetryAfter is kept", "after",
			delivery.Attempt{Outcome: delivery.OutcomeRetry, ResponseStatus: 503, RetryAfter: time.Minute, ResponseBody: []byte("busy"),
				ErrorCodes: []int{75599}, Error: "plugin asks for a retry: busy"}},
		{"RetryAfter has a bound", "ages",
			delivery.Attempt{Outcome: delivery.OutcomeRetry, ResponseStatus: 503, RetryAfter: retryMax, ResponseBody: []byte("busy"),
				ErrorCodes: []int{75599}, Error: "plugin asks for a retry: busy"}},
		{"Permanent is dead", "permanent",
			delivery.Attempt{Outcome: delivery.OutcomeFailed, ResponseStatus: 422, ResponseBody: []byte("no such user"),
				ErrorCodes: []int{75499}, Error: "plugin failed the event permanently: no such user"}},
		{"a panic is a retry and hurts nobody else", "panic",
			delivery.Attempt{Outcome: delivery.OutcomeRetry, ResponseStatus: 503, ResponseBody: []byte("handler panicked: oops"),
				Cause: delivery.CausePanic, ErrorCodes: []int{75599}, Error: "plugin asks for a retry: handler panicked: oops"}},
		{"a type without a handler is done", "other",
			delivery.Attempt{Outcome: delivery.OutcomeDone, ResponseStatus: 200}},
	}
	pid := p.Status().PID
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			work := task(int64(i), tt.do)
			work.Job.Attempts = 4
			got := deliver(t, p, work)
			body, stack, _ := strings.Cut(string(got.ResponseBody), "\n\n")
			if tt.want.ResponseBody != nil {
				got.ResponseBody = []byte(body)
			}
			tt.want.JobID, tt.want.N, tt.want.Target = int64(i), 5, "plugin:good"
			tt.want.RequestURL, tt.want.RequestHeader = "plugin://good", work.Event.Header
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(delivery.Attempt{}, "StartedAt", "FinishedAt")); diff != "" {
				t.Errorf("attempt (-want +got):\n%s", diff)
			}
			if tt.do == "panic" && !strings.Contains(stack, "testkit/plugins/programs.go:") {
				t.Errorf("the record has no stack: %q", stack)
			}
			if got.StartedAt.IsZero() || got.FinishedAt.Before(got.StartedAt) {
				t.Errorf("attempt from %v to %v", got.StartedAt, got.FinishedAt)
			}
		})
	}
	if got := p.Status().PID; got != pid {
		t.Errorf("the process changed from %d to %d", pid, got)
	}
	s.log.wait(t, 1, "ERROR handler panicked: oops", "stack=", "event_id=event-5", "attempt=5")
}

func TestPluginGetsTheFactsOfTheEvent(t *testing.T) {
	s := startSetup(t, nil, "good")
	work := task(1, "facts")
	work.Job.Round = 2
	deliver(t, s.plugin(t, "good"), work)
	s.log.wait(t, 1, "WARN facts", "plugin=good", "pid=",
		"event_id=event-1", "event_type=test.facts", "attempt=1",
		"{ID:delivery-1 Replay:true Round:2 Crashes:0 ", "} true",
		"X-Bytes:[\uFFFD]", "KeyLabel:main", "Scheme:telnyx", "Skew:1500000000", `{"data":{"event_type":"test.facts"`)
}

func TestTimeouts(t *testing.T) {
	s := newSetup(t, func(c *Config) { c.Timeout = 50 * time.Millisecond }, "good")
	s.launch.Timings.Grace = 100 * time.Millisecond
	s.start(t)
	p := s.plugin(t, "good")

	t.Run("a handler that obeys its context times out", func(t *testing.T) {
		a := deliver(t, p, task(1, "wait"))
		if a.Outcome != delivery.OutcomeRetry || !slices.Equal(a.ErrorCodes, []int{75000}) || a.ResponseStatus != 0 {
			t.Errorf("got %+v", a)
		}
		// Whether the plugin's deadline or the host's Cancel was first.
		if want := "plugin was not done after 50ms: context "; !strings.HasPrefix(a.Error, want) {
			t.Errorf("got error %q, want %q", a.Error, want)
		}
	})
	t.Run("a handler that does not obey times out too, and holds its place until it answers", func(t *testing.T) {
		a := deliver(t, p, task(2, "late"))
		if a.Outcome != delivery.OutcomeRetry || !slices.Equal(a.ErrorCodes, []int{75000}) {
			t.Errorf("got %+v", a)
		}
		if got := p.Status(); got.InFlight != 1 {
			t.Errorf("%d events in flight, want the abandoned one", got.InFlight)
		}
		deadline := time.Now().Add(soon)
		for p.Status().StrayResults != 1 || p.Status().InFlight != 0 {
			if time.Now().After(deadline) {
				t.Fatalf("status %+v", p.Status())
			}
			deliver(t, p, task(3, "ack"))
		}
	})
}

func TestGivingUp(t *testing.T) {
	t.Run("while no process is ready nothing was sent", func(t *testing.T) {
		s := startSetup(t, nil, "exits")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := s.plugin(t, "exits").Deliver(ctx, task(1, "ack")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a plugin that is down is not waited for when it is drained", func(t *testing.T) {
		s := startSetup(t, nil, "exits")
		p := s.plugin(t, "exits")
		waiting := make(chan error, 1)
		go func() {
			_, err := p.Deliver(t.Context(), task(1, "ack"))
			waiting <- err
		}()
		p.Drain()
		p.Drain() // again does no harm
		if err := <-waiting; !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while there is no credit nothing was sent", func(t *testing.T) {
		s := startSetup(t, func(c *Config) { c.DrainTimeout = time.Millisecond }, "single")
		p := s.plugin(t, "single")
		busy, free := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.Deliver(busy, task(1, "wait")) })
		s.log.wait(t, 1, "begun")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := p.Deliver(ctx, task(2, "ack")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		free()
		wg.Wait()
		if a := deliver(t, p, task(3, "ack")); a.Outcome != delivery.OutcomeDone {
			t.Errorf("after the place is free again, got %+v", a)
		}
	})
	t.Run("after the event was sent there is a record", func(t *testing.T) {
		s := startSetup(t, nil, "good")
		ctx, cancel := context.WithCancel(t.Context())
		var a delivery.Attempt
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { a, err = s.plugin(t, "good").Deliver(ctx, task(1, "wait")) })
		s.log.wait(t, 1, "begun")
		cancel()
		wg.Wait()
		if err != nil || a.Outcome != delivery.OutcomeRetry || a.Error != "delivery to the plugin was interrupted: context canceled" {
			t.Errorf("got %+v, %v", a, err)
		}
	})
	t.Run("a stopped host says so", func(t *testing.T) {
		s := startSetup(t, nil, "good")
		s.Stop()
		if _, err := s.plugin(t, "good").Deliver(t.Context(), task(1, "ack")); !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
	})
}

func TestKilledInMidCallTheNextProcessGetsTheEvent(t *testing.T) {
	s := startSetup(t, nil, "good")
	p := s.plugin(t, "good")
	const events = 20
	attempts := make(chan delivery.Attempt, events)
	for i := range events {
		go func() { attempts <- deliver(t, p, task(int64(i), "hang")) }()
	}
	s.log.wait(t, events, "begun")
	old := p.Status().PID
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range events {
		a := <-attempts
		if a.Outcome != delivery.OutcomeLost || a.RetryAfter != crashRetry || a.ResponseStatus != 0 || !slices.Equal(a.ErrorCodes, []int{75002}) {
			t.Errorf("got %+v", a)
		}
		if want := "plugin died with the event: signal: killed"; a.Error != want {
			t.Errorf("got error %q, want %q", a.Error, want)
		}
	}
	if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("the next process: got %+v", a)
	}
	if now := p.Status(); now.PID == old || now.Restarts != 1 {
		t.Errorf("status %+v, with the old pid %d", now, old)
	}
	s.log.wait(t, 1, "ERROR plugin is down", "signal: killed")
}

func TestEventThatKillsBecomesADeadLetter(t *testing.T) {
	s := newSetup(t, nil, "good")
	s.timings.backoffBase = time.Millisecond
	s.start(t)
	p := s.plugin(t, "good")
	work := task(1, "exit")
	die := func() delivery.Attempt {
		a := deliver(t, p, work)
		work.Job.Attempts++
		return a
	}
	for range 2 {
		a := die()
		if a.Error != "plugin died with the event: exit status 7" || a.Outcome != delivery.OutcomeLost || a.RetryAfter != crashRetry {
			t.Errorf("got %+v", a)
		}
	}
	// The plugin is told, and its answer clears the suspicion.
	work.Event = task(1, "facts").Event
	deliver(t, p, work)
	s.log.wait(t, 1, "WARN facts", "Crashes:2 ")
	work.Event = task(1, "exit").Event
	for range 2 {
		if a := die(); a.Outcome != delivery.OutcomeLost {
			t.Errorf("after an answer: got %+v", a)
		}
	}
	if a := die(); a.Outcome != delivery.OutcomeFailed || !strings.Contains(a.Error, "plugin_crashed") {
		t.Errorf("the third time in a row: got %+v", a)
	}
	if n := p.Status().Suspects; n != 0 {
		t.Errorf("%d suspects are left", n)
	}
}

func TestCreditIsNeverExceeded(t *testing.T) {
	s := newSetup(t, nil, "rogue")
	s.launch.Timings.Lifeline = time.Millisecond // it does not watch it
	s.start(t)
	p := s.plugin(t, "rogue")
	var wg sync.WaitGroup
	for worker := range 20 {
		wg.Go(func() {
			for i := range 10 {
				if t.Failed() {
					return
				}
				if a := deliver(t, p, task(int64(worker*100+i), "ack")); a.Outcome != delivery.OutcomeDone {
					t.Errorf("got %+v", a)
				}
			}
		})
	}
	wg.Wait()
	st := p.Status()
	if st.Credit != plugins.RogueCredit || st.InFlight != 0 {
		t.Errorf("status %+v", st)
	}
	if st.StrayResults == 0 {
		t.Error("the answers to nothing and the second answers were not counted")
	}
}

func TestMinimalProfile(t *testing.T) {
	s := newSetup(t, func(c *Config) { c.Timeout = 200 * time.Millisecond }, "unary")
	s.launch.Timings.Grace = 50 * time.Millisecond
	s.launch.Timings.Lifeline = time.Millisecond
	s.start(t)
	p := s.plugin(t, "unary")
	if st := p.Status(); st.Credit != 2 {
		t.Errorf("status %+v", st)
	}
	tests := []struct {
		name, do string
		outcome  delivery.Outcome
		status   int
		codes    []int
		text     string
	}{
		{"an answer is an answer", "ack", delivery.OutcomeDone, 200, nil, ""},
		{"an error of the call is a retry", "refuse", delivery.OutcomeRetry, 503, []int{75599}, "exception in the handler"},
		{"no result is a retry", "nothing", delivery.OutcomeRetry, 503, []int{75599}, "plugin asks for a retry"},
		{"a call has a deadline", "hang", delivery.OutcomeRetry, 0, []int{75000}, "plugin was not done after 200ms"},
		{"the end of the process is a crash", "exit", delivery.OutcomeLost, 0, []int{75002}, "exit status 7"},
		{"and the next one serves", "ack", delivery.OutcomeDone, 200, nil, ""},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := deliver(t, p, task(int64(i), tt.do))
			if a.Outcome != tt.outcome || a.ResponseStatus != tt.status || !slices.Equal(a.ErrorCodes, tt.codes) || !strings.Contains(a.Error, tt.text) {
				t.Errorf("got %+v", a)
			}
			if tt.do == "ack" && string(a.ResponseBody) != "by hand" {
				t.Errorf("got the text %q", a.ResponseBody)
			}
		})
	}
}

// TestAttemptsAreWatched: an attempt that exceeds its limit is reported, here at
// once.
func TestAttemptsAreWatched(t *testing.T) {
	var attempts *telemetry.Attempts
	s := startSetup(t, func(c *Config) {
		c.Timeout = 200 * time.Millisecond
		attempts = telemetry.NewAttempts(c.Log, -time.Hour)
		c.Attempts = attempts
	}, "good")
	deliver(t, s.plugin(t, "good"), task(1, "wait"))
	s.log.wait(t, 1, "has not ended within its limit", "target=plugin:good", "event_id=event-1")
	if err := attempts.Check(); err != nil {
		t.Errorf("after the end: %v", err)
	}
}
