package delivery_test

import (
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

func TestNext(t *testing.T) {
	end := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	two := delivery.Schedule{10 * time.Second, time.Minute}
	for _, tt := range []struct {
		name       string
		n          int
		outcome    delivery.Outcome
		retryAfter time.Duration
		schedule   delivery.Schedule
		jitter     float64
		want       delivery.State
		wait       time.Duration
	}{
		{"done ends it", 1, delivery.OutcomeDone, 0, two, 0, delivery.Done, 0},
		{"done ends it when the schedule is used up", 3, delivery.OutcomeDone, 0, two, 0, delivery.Done, 0},
		{"dead ends it however much schedule is left", 1, delivery.OutcomeFailed, 0, two, 0, delivery.Dead, 0},
		{"the first retry takes the first wait, at least half of it", 1, delivery.OutcomeRetry, 0, two, 0, delivery.Pending, 5 * time.Second},
		{"on average the whole of it", 1, delivery.OutcomeRetry, 0, two, 0.5, delivery.Pending, 10 * time.Second},
		{"at most half more", 1, delivery.OutcomeRetry, 0, two, 0.999999, delivery.Pending, 14999990 * time.Microsecond},
		{"the second retry takes the second wait", 2, delivery.OutcomeRetry, 0, two, 0.5, delivery.Pending, time.Minute},
		{"the attempt after the last wait is the last", 3, delivery.OutcomeRetry, 0, two, 0.5, delivery.Dead, 0},
		{"a wish to wait replaces the schedule's wait", 1, delivery.OutcomeRetry, time.Hour, two, 0, delivery.Pending, time.Hour},
		{"a wish to wait does not lengthen the schedule", 3, delivery.OutcomeRetry, time.Hour, two, 0, delivery.Dead, 0},
		{"without a schedule there is one attempt", 1, delivery.OutcomeRetry, 0, nil, 0, delivery.Dead, 0},
		{"an outcome nobody knows is a retry", 1, "", 0, two, 0.5, delivery.Pending, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := delivery.Attempt{N: tt.n, Outcome: tt.outcome, RetryAfter: tt.retryAfter, FinishedAt: end}
			state, due := delivery.Next(delivery.Job{}, a, delivery.Policy{Schedule: tt.schedule}, tt.jitter)
			var want time.Time
			if tt.want == delivery.Pending {
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
		if j := delivery.Jitter(); j < 0 || j >= 1 {
			t.Fatalf("jitter %v", j)
		}
	}
}
