package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// waits makes an event that waits for a second attempt until an hour after t0. Its
// first ended n minutes after t0.
func waits(t *testing.T, s store.Store, n int, name string, wish time.Duration) {
	t.Helper()
	accept(t, s, newEvent(n), name)
	a := attempt(claim(t, s, name, t0.Add(30*time.Minute), 1)[0], delivery.OutcomeRetry)
	a.StartedAt, a.FinishedAt, a.RetryAfter = t0, t0.Add(time.Duration(n)*time.Minute), wish
	finish(t, s, a, delivery.Pending, t0.Add(time.Hour))
}

// hurrySelects: Hurry moves what q selects, and tells whose it was.
func hurrySelects(t *testing.T, open OpenFunc) {
	now := t0.Add(30 * time.Minute)
	for _, tt := range []struct {
		name    string
		q       store.Query
		moved   []int
		targets []string
	}{
		{"all", store.Query{}, []int{1, 2, 3, 4}, []string{target, "plugin:other"}},
		{"those of a target", store.Query{Target: target}, []int{1, 2, 4}, []string{target}},
		{"those that are retried", store.Query{Status: store.StatusRetrying}, []int{1, 2, 3}, []string{target, "plugin:other"}},
		{"a status of what does not wait is not looked at", store.Query{Status: store.StatusDone, Target: "plugin:other"}, []int{3}, []string{"plugin:other"}},
		{"one", store.Query{IDs: []string{newEvent(2).ID}}, []int{2}, []string{target}},
		{"those tried in vain since", store.Query{MissedSince: t0.Add(2 * time.Minute)}, []int{3}, []string{"plugin:other"}},
		{"none", store.Query{Target: "plugin:none"}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t, open)
			waits(t, s, 1, target, 0)
			waits(t, s, 2, target, 50*time.Minute) // as the target wished
			waits(t, s, 3, "plugin:other", 0)
			e := newEvent(4)
			e.ReceivedAt = t0.Add(2 * time.Hour) // by a clock that was wrong
			accept(t, s, e, target)
			n, targets, err := s.Hurry(t.Context(), tt.q, now, 0)
			if err != nil || n != len(tt.moved) || !slices.Equal(targets, tt.targets) {
				t.Errorf("moved %d of %q, %v; want %v of %q", n, targets, err, tt.moved, tt.targets)
			}
			if n, targets, err := s.Hurry(t.Context(), tt.q, now, 0); n != 0 || targets != nil || err != nil {
				t.Errorf("moved again: %d of %q, %v", n, targets, err)
			}
			var due []int
			for _, name := range []string{target, "plugin:other"} {
				tasks, err := s.Claim(t.Context(), name, now, 10)
				if err != nil {
					t.Fatal(err)
				}
				for _, task := range tasks {
					due = append(due, slices.IndexFunc([]int{0, 1, 2, 3, 4}, func(n int) bool { return newEvent(n).ID == task.Event.ID }))
				}
			}
			slices.Sort(due)
			if !slices.Equal(due, tt.moved) {
				t.Errorf("due are %v, want %v", due, tt.moved)
			}
		})
	}
}

// hurryLeaves: what is due, claimed, ended or behind another of its entity stays as it
// is.
func hurryLeaves(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(1), target) // due
	for n, name := range map[int]string{2: "plugin:done", 3: "plugin:dead", 4: "plugin:claimed"} {
		accept(t, s, newEvent(n), name)
		task := claim(t, s, name, farFuture, 1)[0]
		switch n {
		case 2:
			finish(t, s, attempt(task, delivery.OutcomeDone), delivery.Done, time.Time{})
		case 3:
			finish(t, s, attempt(task, delivery.OutcomeFailed), delivery.Dead, time.Time{})
		}
	}
	first, second := about("call:1", 5, 10), about("call:1", 6, 20)
	for _, e := range []*delivery.Event{first, second} {
		accept(t, s, e, "plugin:ordered")
	}
	finish(t, s, attempt(claim(t, s, "plugin:ordered", farFuture, 1)[0], delivery.OutcomeRetry), delivery.Pending, farFuture)
	now := t0.Add(time.Hour)
	n, targets, err := s.Hurry(t.Context(), store.Query{}, now, 0)
	if err != nil || n != 1 || !slices.Equal(targets, []string{"plugin:ordered"}) {
		t.Errorf("moved %d of %q, %v; want the first of the entity alone", n, targets, err)
	}
	tasks, err := s.Claim(t.Context(), "plugin:ordered", now, 10)
	if err != nil || len(tasks) != 1 || tasks[0].Event.Key != first.Key || tasks[0].Job.Attempts != 1 {
		t.Errorf("claimed %+v, %v; want the first, after one attempt", tasks, err)
	}
	claim(t, s, target, now, 1)
	claim(t, s, "plugin:claimed", now, 0)
}

// hurryLimit: no more events than were asked for, the oldest first.
func hurryLimit(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	for n := range 5 {
		waits(t, s, n, target, 0)
	}
	now := t0.Add(30 * time.Minute)
	for i, want := range []int{2, 2, 1, 0} {
		n, _, err := s.Hurry(t.Context(), store.Query{Target: target}, now, 2)
		if err != nil || n != want {
			t.Errorf("call %d moved %d, %v; want %d", i+1, n, err, want)
		}
		if tasks := claim(t, s, target, now, want); i == 0 && (tasks[0].Event.ID != newEvent(0).ID || tasks[1].Event.ID != newEvent(1).ID) {
			t.Errorf("moved %v and %v, want the oldest", tasks[0].Event.ID, tasks[1].Event.ID)
		}
	}
}
