package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// clockSetBack: after the clock was an hour ahead no job waits longer than it would
// have otherwise, and an untried one does not wait at all. Times count from t0, to
// which the clock was set back.
func clockSetBack(t *testing.T, open OpenFunc) {
	schedule := delivery.Schedule{2 * time.Minute, 10 * time.Minute}
	const first, second = 3 * time.Minute, 15 * time.Minute // the longest that jitter makes of them
	ahead := t0.Add(time.Hour)
	for _, tt := range []struct {
		name     string
		attempts int // that failed
		due      time.Time
		wish     time.Duration
		want     time.Duration // due after t0
	}{
		{"never tried", 0, ahead, 0, 0},
		{"tried once", 1, ahead, 0, first},
		{"tried twice", 2, ahead, 0, second},
		{"tried more often than the schedule is long, which was changed", 4, ahead, 0, second},
		{"put off at a wish", 1, ahead.Add(5 * time.Hour), 5 * time.Hour, 5 * time.Hour},
		{"waits rightly", 1, t0.Add(2 * time.Minute), 0, 2 * time.Minute},
		{"waits rightly at a wish", 1, t0.Add(time.Hour), time.Hour + time.Minute, time.Hour},
		{"is due", 1, t0.Add(-time.Second), 0, -time.Second},
		{"put off for years", 2, farFuture, 0, second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t, open)
			e := newEvent(0)
			e.ReceivedAt = ahead
			accept(t, s, e, target, "plugin:other")
			for range tt.attempts {
				task := claim(t, s, target, farFuture, 1)[0]
				a := attempt(task, delivery.OutcomeRetry)
				a.RetryAfter = tt.wish
				finish(t, s, a, delivery.Pending, tt.due)
			}
			want := t0.Add(tt.want)
			reschedule(t, s, target, schedule, !want.Equal(tt.due))
			reschedule(t, s, target, schedule, false)
			got, ok, err := s.NextDue(t.Context(), target)
			if err != nil || !ok || !got.Equal(want) {
				t.Errorf("due %v after the clock was set back, want %v (%v, %v)", got.Sub(t0), tt.want, ok, err)
			}
			if other, _, err := s.NextDue(t.Context(), "plugin:other"); err != nil || !other.Equal(ahead) {
				t.Errorf("the job of another target is due at %v, was at %v (%v)", other, ahead, err)
			}
		})
	}
}

func reschedule(t *testing.T, s store.Store, target string, schedule delivery.Schedule, moves bool) {
	t.Helper()
	n, err := s.Reschedule(t.Context(), target, t0, schedule)
	if err != nil {
		t.Fatal(err)
	}
	if moves != (n == 1) || n > 1 {
		t.Errorf("%d jobs were brought forward, want one: %v", n, moves)
	}
}

// clockSetBackReplayed: an untried round has nothing to wait for either, however
// the one before ended.
func clockSetBackReplayed(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(0), target)
	task := claim(t, s, target, t0, 1)[0]
	finish(t, s, attempt(task, delivery.OutcomeFailed), delivery.Dead, time.Time{})
	r := &store.Replay{Query: store.Query{Status: store.StatusDead}}
	if err := s.CreateReplay(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.StepReplay(t.Context(), r.ID, 10); err != nil { // by the real clock, years after t0
		t.Fatal(err)
	}
	reschedule(t, s, target, nil, true)
	claim(t, s, target, t0, 1)
}

// clockSetBackOrdered: the first event of an entity is due, and the others wait for
// it no longer than if the clock had been right.
func clockSetBackOrdered(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	ahead := t0.Add(time.Hour)
	first, second := about("call:1", 1, 10), about("call:1", 2, 20)
	for _, e := range []*delivery.Event{first, second} {
		e.ReceivedAt = ahead
		accept(t, s, e, target)
	}
	if _, err := s.Reschedule(t.Context(), target, t0, nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 2 {
		tasks, err := s.Claim(t.Context(), target, t0.Add(5*time.Minute), 10)
		if err != nil || len(tasks) != 1 {
			t.Fatalf("claimed %d tasks, want 1 (%v)", len(tasks), err)
		}
		got = append(got, tasks[0].Event.Key)
		a := attempt(tasks[0], delivery.OutcomeDone)
		finish(t, s, a, delivery.Done, time.Time{})
		if _, err := s.Reschedule(t.Context(), target, t0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{first.Key, second.Key}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// clockSetBackClaimed: a claimed job is left alone.
func clockSetBackClaimed(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(0)
	e.ReceivedAt = t0.Add(time.Hour)
	accept(t, s, e, target)
	task := claim(t, s, target, farFuture, 1)[0]
	if _, err := s.Reschedule(t.Context(), target, t0, nil); err != nil {
		t.Fatal(err)
	}
	claim(t, s, target, farFuture, 0)
	finish(t, s, attempt(task, delivery.OutcomeDone), delivery.Done, time.Time{})
}
