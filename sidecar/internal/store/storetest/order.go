package storetest

import (
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// about returns event n of an entity, which happened at t0 + at seconds.
func about(entity string, n, at int) *delivery.Event {
	e := newEvent(n)
	e.Entity, e.OrderAt = entity, t0.Add(time.Duration(at)*time.Second)
	return e
}

// next claims everything due and expects these events, in any order.
func next(t *testing.T, s store.Store, target string, want ...*delivery.Event) map[string]delivery.Task {
	t.Helper()
	tasks, err := s.Claim(t.Context(), target, farFuture, 1000)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	got := make(map[string]delivery.Task)
	for _, task := range tasks {
		got[task.Event.Key] = task
	}
	for _, e := range want {
		if _, ok := got[e.Key]; !ok || len(got) != len(want) {
			t.Fatalf("claimed %d tasks %v, want %d, %s among them", len(got), keys(got), len(want), e.Key)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("claimed %v, want nothing", keys(got))
	}
	return got
}

func keys(tasks map[string]delivery.Task) (list []string) {
	for key := range tasks {
		list = append(list, key)
	}
	return list
}

func done(t *testing.T, s store.Store, task delivery.Task) {
	t.Helper()
	finish(t, s, attempt(task, delivery.OutcomeDone), delivery.Done, time.Time{})
}

func orderOneAtATime(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	third, first, second := about("call:1", 1, 30), about("call:1", 2, 10), about("call:1", 3, 20)
	for _, e := range []*delivery.Event{third, first, second} {
		accept(t, s, e, target)
	}
	for _, e := range []*delivery.Event{first, second, third} {
		task := next(t, s, target, e)[e.Key]
		next(t, s, target) // the others wait for it
		done(t, s, task)
		if e == third {
			break
		}
		if due, ok, err := s.NextDue(t.Context(), target); err != nil || !ok || due.After(time.Now().Add(time.Minute/2)) {
			t.Errorf("after %s the next is due %v, %v, %v; want now", e.Key, due, ok, err)
		}
	}
	next(t, s, target)
}

func orderLateArrival(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	second, first := about("call:1", 1, 20), about("call:1", 2, 10)
	accept(t, s, second, target)
	accept(t, s, first, target)
	done(t, s, next(t, s, target, first)[first.Key])

	// But not while another is under way.
	task := next(t, s, target, second)[second.Key]
	earlier := about("call:1", 3, 5)
	accept(t, s, earlier, target)
	next(t, s, target)
	done(t, s, task)
	next(t, s, target, earlier)

	same1, same2 := about("call:2", 4, 1), about("call:2", 5, 1)
	accept(t, s, same1, target)
	accept(t, s, same2, target)
	next(t, s, target, same1) // at the same moment, as they came
}

func orderRetry(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	first, second := about("call:1", 1, 1), about("call:1", 2, 2)
	accept(t, s, first, target)
	accept(t, s, second, target)
	task := next(t, s, target, first)[first.Key]
	due := farFuture.Add(time.Hour)
	finish(t, s, attempt(task, delivery.OutcomeRetry), delivery.Pending, due)
	next(t, s, target) // the first waits for its retry, and the second for the first

	tasks := claim(t, s, target, due.Add(24*time.Hour), 1)
	if tasks[0].Event.Key != first.Key {
		t.Fatalf("claimed %s before %s", tasks[0].Event.Key, first.Key)
	}
	finish(t, s, attempt(tasks[0], delivery.OutcomeFailed), delivery.Dead, time.Time{})
	next(t, s, target, second)
}

func orderOthers(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	a1, a2, b1, free1, free2 := about("a", 1, 1), about("a", 2, 2), about("b", 3, 3), newEvent(4), newEvent(5)
	for _, e := range []*delivery.Event{a1, a2, b1, free1, free2} {
		accept(t, s, e, target, "plugin:other")
	}
	next(t, s, target, a1, b1, free1, free2)
	next(t, s, "plugin:other", a1, b1, free1, free2)
}

func orderRelease(t *testing.T, open OpenFunc) {
	dir := t.TempDir()
	s := open(t, dir)
	first, second := about("a", 1, 1), about("a", 2, 2)
	accept(t, s, first, target)
	accept(t, s, second, target)
	task := next(t, s, target, first)[first.Key]
	if err := s.Release(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	next(t, s, target, first)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	done(t, s, next(t, s, target, first)[first.Key])
	got := next(t, s, target, second)[second.Key].Event
	if got.Entity != second.Entity || !got.OrderAt.Equal(second.OrderAt) {
		t.Errorf("the event has entity %q at %v, want %q at %v", got.Entity, got.OrderAt, second.Entity, second.OrderAt)
	}
}

func sharedRelease(t *testing.T, shared Shared) {
	stores := several(t, shared, 2)
	first, second := about("call:1", 1, 1), about("call:1", 2, 2)
	accept(t, stores[0], first, target)
	accept(t, stores[0], second, target)
	task := next(t, stores[0], target, first)[first.Key]
	next(t, stores[1], target)
	if err := stores[0].Release(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	got := next(t, stores[1], target, first)[first.Key]
	same(t, "task", got, task)
	// Repeated late it takes nothing from its present claim.
	if err := stores[0].Release(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	next(t, stores[0], target)
	done(t, stores[1], got)
	next(t, stores[0], target, second)
}

func orderLine(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	const n = 60
	for i := range n {
		accept(t, s, about("a", i, n-i), target) // the last to come is the first to go
	}
	for i := range n {
		tasks := claim(t, s, target, farFuture, 1)
		if want := newEvent(n - 1 - i).Key; tasks[0].Event.Key != want {
			t.Fatalf("number %d is %s, want %s", i, tasks[0].Event.Key, want)
		}
		done(t, s, tasks[0])
	}
	claim(t, s, target, farFuture, 0)
}
