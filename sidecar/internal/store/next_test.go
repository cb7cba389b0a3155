package store_test

import (
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

func TestNext(t *testing.T) {
	end := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	two := store.Schedule{10 * time.Second, time.Minute}
	for _, tt := range []struct {
		name       string
		n          int
		outcome    store.Outcome
		retryAfter time.Duration
		schedule   store.Schedule
		jitter     float64
		want       store.State
		wait       time.Duration
	}{
		{"done ends it", 1, store.OutcomeDone, 0, two, 0, store.Done, 0},
		{"done ends it when the schedule is used up", 3, store.OutcomeDone, 0, two, 0, store.Done, 0},
		{"dead ends it however much schedule is left", 1, store.OutcomeDead, 0, two, 0, store.Dead, 0},
		{"the first retry takes the first wait, at least half of it", 1, store.OutcomeRetry, 0, two, 0, store.Pending, 5 * time.Second},
		{"on average the whole of it", 1, store.OutcomeRetry, 0, two, 0.5, store.Pending, 10 * time.Second},
		{"at most half more", 1, store.OutcomeRetry, 0, two, 0.999999, store.Pending, 14999990 * time.Microsecond},
		{"the second retry takes the second wait", 2, store.OutcomeRetry, 0, two, 0.5, store.Pending, time.Minute},
		{"the attempt after the last wait is the last", 3, store.OutcomeRetry, 0, two, 0.5, store.Dead, 0},
		{"a wish to wait replaces the schedule's wait", 1, store.OutcomeRetry, time.Hour, two, 0, store.Pending, time.Hour},
		{"a wish to wait does not lengthen the schedule", 3, store.OutcomeRetry, time.Hour, two, 0, store.Dead, 0},
		{"without a schedule there is one attempt", 1, store.OutcomeRetry, 0, nil, 0, store.Dead, 0},
		{"an outcome nobody knows is a retry", 1, "", 0, two, 0.5, store.Pending, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := store.Attempt{N: tt.n, Outcome: tt.outcome, RetryAfter: tt.retryAfter, FinishedAt: end}
			state, due := store.Next(store.Job{}, a, store.Policy{Schedule: tt.schedule}, tt.jitter)
			var want time.Time
			if tt.want == store.Pending {
				want = end.Add(tt.wait)
			}
			if state != tt.want || !due.Equal(want) {
				t.Errorf("got %s at %v, want %s at %v", state, due, tt.want, want)
			}
		})
	}
}

func TestJitterIsAFraction(t *testing.T) {
	for range 1000 {
		if j := store.Jitter(); j < 0 || j >= 1 {
			t.Fatalf("jitter %v", j)
		}
	}
}

func TestDeliveryStatus(t *testing.T) {
	for _, tt := range []struct {
		name             string
		jobs             []store.State
		final, delivered bool
	}{
		{"an unhandled event is neither", nil, false, false},
		{"one pending job keeps it open", []store.State{store.Done, store.Pending}, false, false},
		{"one dead job makes it failed", []store.State{store.Done, store.Dead}, true, false},
		{"all done makes it delivered", []store.State{store.Done, store.Done}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d store.Delivery
			for _, s := range tt.jobs {
				d.Jobs = append(d.Jobs, store.Job{State: s})
			}
			if d.Final() != tt.final || d.Delivered() != tt.delivered {
				t.Errorf("final %v, delivered %v; want %v, %v", d.Final(), d.Delivered(), tt.final, tt.delivered)
			}
		})
	}
}
