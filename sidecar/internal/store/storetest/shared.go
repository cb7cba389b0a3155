package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Shared is a store that several processes have open at the same time.
type Shared struct {
	// Open opens the store in dir as another process would.
	// kill ends that process without giving anything back; the store must
	// not be used after that. Both it and Close may be called.
	Open func(t *testing.T, dir string) (s store.Store, kill func())

	// HandOver is how long after a process was killed its jobs are free, at
	// the latest.
	HandOver time.Duration
}

// RunShared checks the part of the contract about stores that several processes
// share. The subtests run in parallel.
func RunShared(t *testing.T, shared Shared) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, shared Shared)
	}{
		{"many that open at once find or make one store", sharedOpen},
		{"a job is claimed by one only", sharedClaims},
		{"duplicates that arrive everywhere at once are one event", sharedDuplicates},
		{"an entity goes one at a time, whoever claims", sharedOrder},
		{"the jobs of a process that was killed are handed over", sharedHandOver},
		{"a process that closes frees its jobs at once", sharedClose},
		{"what came to one that waited is done once, whoever is killed", sharedWaiting},
		{"what is given back is anybody's", sharedRelease},
		{"work wakes the others", sharedWake},
		{"the first result of an attempt counts", sharedResults},
		{"jobs of one event that end everywhere at once make it final", sharedFinal},
		{"a replay is worked on by one, and by another when that is gone", sharedReplay},
		{"all may prune at once", sharedPrune},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t, shared)
		})
	}
}

// several opens the same store n times.
func several(t *testing.T, shared Shared, n int) []store.Store {
	t.Helper()
	dir := t.TempDir()
	list := make([]store.Store, n)
	for i := range list {
		list[i], _ = shared.Open(t, dir)
	}
	return list
}

// everywhere runs fn for each store at the same time.
func everywhere(stores []store.Store, fn func(i int, s store.Store)) {
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() { fn(i, s) })
	}
	wg.Wait()
}

func sharedOpen(t *testing.T, shared Shared) {
	dir := t.TempDir()
	stores := make([]store.Store, 5)
	everywhere(stores, func(i int, _ store.Store) { stores[i], _ = shared.Open(t, dir) })
	for i, s := range stores {
		if s == nil {
			t.Fatal("not opened")
		}
		accept(t, s, newEvent(i), target)
	}
	claim(t, stores[0], target, farFuture, len(stores))
}

func sharedClaims(t *testing.T, shared Shared) {
	stores := several(t, shared, 3)
	const n = 300
	for i := range n {
		accept(t, stores[i%3], newEvent(i), target)
	}
	var mu sync.Mutex
	by := make(map[int64]int)
	everywhere(stores, func(i int, s store.Store) {
		for {
			tasks, err := s.Claim(t.Context(), target, farFuture, 7)
			if err != nil {
				t.Errorf("claim: %v", err)
				return
			}
			if len(tasks) == 0 {
				return // what the others are just taking is theirs
			}
			mu.Lock()
			for _, task := range tasks {
				if other, twice := by[task.Job.ID]; twice {
					t.Errorf("job %d was claimed by %d and by %d", task.Job.ID, other, i)
				}
				by[task.Job.ID] = i
			}
			mu.Unlock()
		}
	})
	if len(by) != n {
		t.Errorf("%d jobs were claimed, want %d", len(by), n)
	}
}

func sharedDuplicates(t *testing.T, shared Shared) {
	stores := several(t, shared, 3)
	for n := range 20 {
		var first atomic.Int32
		ids := make([]string, len(stores))
		everywhere(stores, func(i int, s store.Store) {
			got, err := s.Accept(t.Context(), newEvent(n), []string{target})
			if err != nil {
				t.Errorf("accept: %v", err)
			}
			if !got.Duplicate {
				first.Add(1)
			}
			ids[i] = got.DeliveryID
		})
		if first.Load() != 1 || ids[0] != ids[1] || ids[1] != ids[2] {
			t.Fatalf("event %d was new %d times, with the deliveries %v", n, first.Load(), ids)
		}
		if d := recordOf(t, stores[0], ids[0]); len(d.Jobs) != 1 || d.Event.Duplicates != 2 {
			t.Fatalf("event %d has %d jobs and %d duplicates, want 1 and 2", n, len(d.Jobs), d.Event.Duplicates)
		}
	}
	claim(t, stores[1], target, farFuture, 20)
}

func sharedOrder(t *testing.T, shared Shared) {
	stores := several(t, shared, 3)
	const entities, each = 4, 12
	for i := range each {
		for e := range entities {
			// The last to come is the first to go.
			accept(t, stores[i%3], about(fmt.Sprint("call:", e), i*entities+e, each-i), target)
		}
	}
	var mu sync.Mutex
	busy, last := make(map[string]bool), make(map[string]time.Time)
	left := entities * each
	everywhere(stores, func(_ int, s store.Store) {
		for {
			mu.Lock()
			over := left == 0
			mu.Unlock()
			if over || t.Failed() {
				return
			}
			tasks, err := s.Claim(t.Context(), target, farFuture, 3)
			if err != nil {
				t.Errorf("claim: %v", err)
				return
			}
			mu.Lock()
			for _, task := range tasks {
				e := task.Event
				if busy[e.Entity] || !e.OrderAt.After(last[e.Entity]) {
					t.Errorf("%s at %v while busy is %v, after %v", e.Entity, e.OrderAt, busy[e.Entity], last[e.Entity])
				}
				busy[e.Entity], last[e.Entity] = true, e.OrderAt
			}
			mu.Unlock()
			for _, task := range tasks {
				mu.Lock()
				busy[task.Event.Entity] = false // from now on another may claim the next
				left--
				mu.Unlock()
				if err := s.Finish(t.Context(), attempt(task, delivery.OutcomeDone), delivery.Done, time.Time{}); err != nil {
					t.Errorf("finish: %v", err)
				}
			}
		}
	})
}

// until calls fn until it returns true: whenever something wakes s, and now and then.
func until(t *testing.T, s store.Store, bound time.Duration, fn func() bool) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	woken := make(chan struct{}, 1)
	go func() {
		_ = s.Watch(ctx, func([]string) {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	}()
	began := time.Now()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !fn() {
		if time.Since(began) > bound {
			t.Fatalf("not within %v", bound)
		}
		select {
		case <-woken:
		case <-look.C:
		}
	}
	return time.Since(began)
}

func sharedHandOver(t *testing.T, shared Shared) {
	dir := t.TempDir()
	dying, kill := shared.Open(t, dir)
	living, _ := shared.Open(t, dir)
	for i := range 10 {
		accept(t, dying, newEvent(i), target)
	}
	first := about("call:1", 20, 1)
	accept(t, dying, first, "plugin:ordered")
	accept(t, dying, about("call:1", 21, 2), "plugin:ordered")
	tasks, err := dying.Claim(t.Context(), target, farFuture, 6)
	if err != nil || len(tasks) != 6 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	claim(t, dying, "plugin:ordered", farFuture, 1)
	claim(t, living, target, farFuture, 4) // these stay where they are
	kill()
	got := make(map[int64]bool)
	// Leave room for a machine that is busy with other tests.
	took := until(t, living, shared.HandOver+10*time.Second, func() bool {
		more, err := living.Claim(t.Context(), target, farFuture, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range more {
			got[task.Job.ID] = true
		}
		return len(got) >= len(tasks)
	})
	t.Logf("handed over after %v of at most %v", took.Round(time.Millisecond), shared.HandOver)
	for _, task := range tasks {
		if !got[task.Job.ID] {
			t.Errorf("job %d was not handed over", task.Job.ID)
		}
	}
	if len(got) != len(tasks) {
		t.Errorf("%d jobs were handed over, want %d: a living process was robbed", len(got), len(tasks))
	}
	next(t, living, "plugin:ordered", first)
}

func sharedClose(t *testing.T, shared Shared) {
	stores := several(t, shared, 2)
	accept(t, stores[0], newEvent(1), target)
	claim(t, stores[0], target, farFuture, 1)
	claim(t, stores[1], target, farFuture, 0)
	if err := stores[0].Close(); err != nil {
		t.Fatal(err)
	}
	claim(t, stores[1], target, farFuture, 1)
}

// sharedWaiting accepts where the target waits for work: such events may be claimed as
// they come.
func sharedWaiting(t *testing.T, shared Shared) {
	dir := t.TempDir()
	dying, kill := shared.Open(t, dir)
	living, _ := shared.Open(t, dir)
	claim(t, dying, target, farFuture, 0)
	if _, due, err := dying.NextDue(t.Context(), target); due || err != nil {
		t.Fatalf("an empty store has work, %v", err)
	}
	const n = 30
	for i := range n {
		accept(t, dying, newEvent(i), target)
	}
	got := make(map[int64]bool)
	take := func(s store.Store, limit int) (tasks []delivery.Task) {
		t.Helper()
		tasks, err := s.Claim(t.Context(), target, farFuture, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if got[task.Job.ID] {
				t.Errorf("job %d was claimed twice", task.Job.ID)
			}
			got[task.Job.ID] = true
		}
		return tasks
	}
	for _, task := range take(dying, 10) {
		done(t, dying, task)
	}
	for _, task := range take(dying, 5) {
		delete(got, task.Job.ID) // it dies with them
	}
	kill()
	until(t, living, shared.HandOver+10*time.Second, func() bool {
		take(living, 100)
		return len(got) >= n
	})
}

func sharedWake(t *testing.T, shared Shared) {
	stores := several(t, shared, 2)
	n := 0
	until(t, stores[1], shared.HandOver+10*time.Second, func() bool {
		n++
		accept(t, stores[0], newEvent(n), target)
		return n > 2
	})
	woken := make(chan []string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = stores[1].Watch(ctx, func(targets []string) { woken <- targets })
	}()
	accept(t, stores[0], newEvent(1000), "plugin:other")
	deadline := time.After(shared.HandOver + 10*time.Second)
	for {
		select {
		case targets := <-woken:
			for _, name := range targets {
				if name == "plugin:other" {
					return
				}
			}
		case <-deadline:
			t.Fatal("work that one has accepted did not wake the other")
		}
	}
}

func sharedResults(t *testing.T, shared Shared) {
	stores := several(t, shared, 2)
	e := newEvent(1)
	accept(t, stores[0], e, target)
	task := claim(t, stores[0], target, farFuture, 1)[0]
	done, failed := attempt(task, delivery.OutcomeDone), attempt(task, delivery.OutcomeRetry)
	finish(t, stores[1], done, delivery.Done, time.Time{}) // by the process that took the job over
	finish(t, stores[0], failed, delivery.Pending, t0)     // by the one taken for dead
	d := recordOf(t, stores[0], e.DeliveryID)
	if len(d.Attempts) != 1 || d.Jobs[0].State != delivery.Done || d.Attempts[0].Outcome != delivery.OutcomeDone {
		t.Errorf("job %+v with attempts %+v, want the first result", d.Jobs[0], d.Attempts)
	}
}

func sharedFinal(t *testing.T, shared Shared) {
	stores := several(t, shared, 3)
	for n := range 30 {
		e := newEvent(n)
		accept(t, stores[0], e, "plugin:0", "plugin:1", "plugin:2")
		everywhere(stores, func(i int, s store.Store) {
			tasks, err := s.Claim(t.Context(), fmt.Sprint("plugin:", i), farFuture, 1)
			if err != nil || len(tasks) != 1 {
				t.Errorf("claimed %d, %v", len(tasks), err)
				return
			}
			if err := s.Finish(t.Context(), attempt(tasks[0], delivery.OutcomeDone), delivery.Done, time.Time{}); err != nil {
				t.Errorf("finish: %v", err)
			}
		})
	}
	if _, total, err := stores[0].Deliveries(t.Context(), store.Filter{Status: "delivered", Limit: 1}); err != nil || total != 30 {
		t.Errorf("%d deliveries are final, %v; want 30", total, err)
	}
}

func sharedReplay(t *testing.T, shared Shared) {
	dir := t.TempDir()
	first, kill := shared.Open(t, dir)
	second, _ := shared.Open(t, dir)
	for i := range 6 {
		ended(t, first, i, target, delivery.OutcomeDone)
	}
	r := createReplay(t, first, store.Replay{})
	stepReplay(t, first, r.ID, 2)
	if _, _, err := second.StepReplay(t.Context(), r.ID, 2); !errors.Is(err, store.ErrElsewhere) {
		t.Fatalf("step of a replay that another works on: %v, want ErrElsewhere", err)
	}
	kill()
	until(t, second, shared.HandOver+10*time.Second, func() bool {
		got, _, err := second.StepReplay(t.Context(), r.ID, 10)
		if err != nil && !errors.Is(err, store.ErrElsewhere) {
			t.Fatal(err)
		}
		r = got
		return err == nil
	})
	if r.Seen != 6 || r.Queued != 6 || r.State != store.ReplayDone {
		t.Errorf("replay %+v, want each event once", r)
	}
}

func sharedPrune(t *testing.T, shared Shared) {
	stores := several(t, shared, 3)
	const n = 60
	for i := range n {
		ended(t, stores[0], i, target, delivery.OutcomeDone)
	}
	var removed atomic.Int32
	for range 100 {
		everywhere(stores, func(_ int, s store.Store) {
			got, err := s.Prune(t.Context(), store.Retention{Before: farFuture}, 7)
			if err != nil {
				t.Errorf("prune: %v", err)
			}
			removed.Add(int32(got.Events))
		})
		if removed.Load() >= n || t.Failed() {
			break
		}
	}
	if got := removed.Load(); got != n {
		t.Errorf("%d events were removed, want each of %d once", got, n)
	}
}
