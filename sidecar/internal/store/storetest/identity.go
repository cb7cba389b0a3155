package storetest

import (
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// A restored store, or a promoted standby, hands out numbers again. These tests
// bring results and tasks whose number now belongs to another job.

// impostors returns tasks of other jobs that had the number of this one.
func impostors(task delivery.Task) map[string]delivery.Task {
	event, target := task, task
	other := *task.Event
	other.DeliveryID = "0198f3a0-0000-7000-8000-000000000001"
	event.Event, target.Job.Target = &other, "plugin:other"
	return map[string]delivery.Task{"another event": event, "another target": target}
}

func finishOther(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(1)
	accept(t, s, e, target)
	task := claim(t, s, target, farFuture, 1)[0]
	before, stats := recordOf(t, s, e.DeliveryID), storeStats(t, s)
	for name, other := range impostors(task) {
		for outcome, state := range map[delivery.Outcome]delivery.State{
			delivery.OutcomeDone: delivery.Done, delivery.OutcomeFailed: delivery.Dead, delivery.OutcomeRetry: delivery.Pending,
		} {
			wantErr(t, name, s.Finish(t.Context(), attempt(other, outcome), state, t0), store.ErrNotFound)
		}
	}
	same(t, "delivery", recordOf(t, s, e.DeliveryID), before)
	claim(t, s, target, farFuture, 0) // the job is still claimed
	same(t, "stats", storeStats(t, s), stats)

	finish(t, s, attempt(task, delivery.OutcomeRetry), delivery.Pending, t0)
	before, stats = recordOf(t, s, e.DeliveryID), storeStats(t, s)
	for name, other := range impostors(task) {
		// The number of the attempt is taken, which is not a repetition.
		wantErr(t, name, s.Finish(t.Context(), attempt(other, delivery.OutcomeDone), delivery.Done, time.Time{}), store.ErrNotFound)
	}
	same(t, "delivery", recordOf(t, s, e.DeliveryID), before)
	same(t, "stats", storeStats(t, s), stats)
	finish(t, s, attempt(claim(t, s, target, farFuture, 1)[0], delivery.OutcomeDone), delivery.Done, time.Time{})
}

func storeStats(t *testing.T, s store.Store) store.Stats {
	t.Helper()
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// finishRemoved does not forge the number: some stores reuse that of a removed
// job.
func finishRemoved(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(1), target)
	old := claim(t, s, target, farFuture, 1)[0]
	finish(t, s, attempt(old, delivery.OutcomeDone), delivery.Done, time.Time{})
	if n := prune(t, s, store.Retention{Before: t0.Add(time.Hour)}); n != 1 {
		t.Fatalf("%d events were removed, want 1", n)
	}

	e := newEvent(2)
	accept(t, s, e, target)
	task := claim(t, s, target, farFuture, 1)[0]
	before := recordOf(t, s, e.DeliveryID)
	wantErr(t, "the late result", s.Finish(t.Context(), attempt(old, delivery.OutcomeDone), delivery.Done, time.Time{}), store.ErrNotFound)
	same(t, "delivery", recordOf(t, s, e.DeliveryID), before)
	if err := s.Release(t.Context(), old); err != nil {
		t.Errorf("release: %v", err)
	}
	claim(t, s, target, farFuture, 0)
	finish(t, s, attempt(task, delivery.OutcomeDone), delivery.Done, time.Time{})
}

func finishForgotten(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(1)
	accept(t, s, e, target)
	task := claim(t, s, target, farFuture, 1)[0]
	task.Job.Attempts = 3 // as the store said before it lost that
	finish(t, s, attempt(task, delivery.OutcomeDone), delivery.Done, time.Time{})
	d := recordOf(t, s, e.DeliveryID)
	if j := d.Jobs[0]; j.State != delivery.Done || j.Attempts != 4 || len(d.Attempts) != 1 || d.Attempts[0].N != 4 {
		t.Errorf("job %+v with attempts %+v, want it done by attempt 4", j, d.Attempts)
	}
	claim(t, s, target, farFuture, 0)
}

func finishStale(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(1)
	accept(t, s, e, target)
	task := claim(t, s, target, farFuture, 1)[0]
	ahead := task
	ahead.Job.Attempts = 3
	finish(t, s, attempt(ahead, delivery.OutcomeRetry), delivery.Pending, t0)
	before := recordOf(t, s, e.DeliveryID)
	late := task
	late.Job.Attempts = 1
	wantErr(t, "an attempt that others have passed", s.Finish(t.Context(), attempt(late, delivery.OutcomeDone), delivery.Done, time.Time{}), store.ErrStale)
	same(t, "delivery", recordOf(t, s, e.DeliveryID), before)

	again := claim(t, s, target, farFuture, 1)[0]
	finish(t, s, attempt(again, delivery.OutcomeFailed), delivery.Dead, time.Time{})
	before = recordOf(t, s, e.DeliveryID)
	again.Job.Attempts++
	wantErr(t, "an attempt at a job that has ended", s.Finish(t.Context(), attempt(again, delivery.OutcomeDone), delivery.Done, time.Time{}), store.ErrStale)
	same(t, "delivery", recordOf(t, s, e.DeliveryID), before)
}

func releaseOther(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(1), target)
	task := claim(t, s, target, farFuture, 1)[0]
	for name, other := range impostors(task) {
		if err := s.Release(t.Context(), other); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tasks, err := s.Claim(t.Context(), target, farFuture, 1); err != nil || len(tasks) != 0 {
			t.Errorf("%s: the job was claimed twice: %d, %v", name, len(tasks), err)
		}
	}
	if err := s.Release(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	claim(t, s, target, farFuture, 1)
}
