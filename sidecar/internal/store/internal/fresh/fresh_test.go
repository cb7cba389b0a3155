package fresh

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

var began = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// task returns a job that is due some milliseconds after began.
func task(id int64, target string, due int) delivery.Task {
	return delivery.Task{
		Job:   delivery.Job{ID: id, EventSeq: id, Target: target, State: delivery.Pending, NextAt: began.Add(time.Duration(due) * time.Millisecond)},
		Event: &delivery.Event{Seq: id},
	}
}

func ids(tasks []delivery.Task) (list []int64) {
	for _, t := range tasks {
		if t.Event == nil {
			return nil // a removed one
		}
		list = append(list, t.Job.ID)
	}
	return list
}

func TestTakeIsInOrder(t *testing.T) {
	q := New(100, 1<<20)
	for _, j := range []delivery.Task{task(3, "a", 20), task(1, "a", 10), task(4, "b", 0), task(2, "a", 10), task(5, "a", 30)} {
		q.Put(j, 10)
	}
	if at, ok := q.First("a"); !ok || !at.Equal(began.Add(10*time.Millisecond)) {
		t.Errorf("the first is due at %v, %v; want 10 ms after %v", at, ok, began)
	}
	for _, want := range []struct {
		at, limit int
		ids       []int64
	}{
		{9, 10, nil},
		{20, 2, []int64{1, 2}},
		{20, 10, []int64{3}},
		{20, 10, nil},
		{30, 10, []int64{5}},
		{30, 10, nil},
	} {
		if got := ids(q.Take("a", began.Add(time.Duration(want.at)*time.Millisecond), want.limit)); !slices.Equal(got, want.ids) {
			t.Errorf("up to %d due at %d ms: jobs %v, want %v", want.limit, want.at, got, want.ids)
		}
	}
	if _, ok := q.First("a"); ok {
		t.Error("a target without jobs has a first")
	}
	if jobs, bytes := q.Len(); jobs != 1 || bytes != 10 {
		t.Errorf("%d jobs of %d bytes are left, want 1 of 10", jobs, bytes)
	}
}

func TestRemoved(t *testing.T) {
	q := New(100, 1<<20)
	for id := range int64(4) {
		q.Put(task(id, "a", int(id)), 10)
	}
	for _, id := range []int64{0, 2} {
		if j, ok := q.Remove(id); !ok || j.Job.ID != id || j.Event == nil {
			t.Errorf("removing job %d returned %+v, %v", id, j, ok)
		}
		if _, ok := q.Remove(id); ok || q.Has(id) {
			t.Errorf("job %d is still there", id)
		}
	}
	q.Put(task(1, "a", 9), 30) // it is due later than was thought
	if jobs, bytes := q.Len(); jobs != 2 || bytes != 40 {
		t.Errorf("%d jobs of %d bytes, want 2 of 40", jobs, bytes)
	}
	if got := ids(q.Take("a", began.Add(time.Second), 10)); !slices.Equal(got, []int64{3, 1}) {
		t.Errorf("took %v, want 3 and 1", got)
	}
}

func TestRoom(t *testing.T) {
	fill := func(q *Queue, target string, size int) (n int) {
		for q.Room(target, size) {
			id, _ := q.Len()
			q.Put(task(int64(id), target, 0), size)
			n++
		}
		return n
	}
	q := New(100, 1<<20)
	for i, want := range []int{50, 25, 13, 6} {
		if n := fill(q, string(rune('a'+i)), 1); n != want {
			t.Errorf("target %d got room for %d jobs, want %d", i, n, want)
		}
	}
	if n := fill(New(100, 1<<20), "a", 1<<18); n != 2 {
		t.Errorf("room for %d jobs of a quarter of the bytes, want 2", n)
	}
	if New(100, 1<<20).Room("a", 2<<20) {
		t.Error("there is room for a job that is larger than the queue")
	}
}

// A job that is put in again after it was removed is there once.
func TestNothingIsLeft(t *testing.T) {
	q := New(100, 1<<20)
	q.Put(task(2, "a", 1), 1)
	q.Put(task(1, "a", 0), 1)
	q.Put(task(3, "b", 0), 1)
	q.Remove(1)
	q.Put(task(1, "a", 0), 1)
	for target, want := range map[string][]int64{"a": {1, 2}, "b": {3}} {
		if got := ids(q.Take(target, began.Add(time.Second), 10)); !slices.Equal(got, want) {
			t.Errorf("took %v of %s, want %v", got, target, want)
		}
	}
	if jobs, bytes := q.Len(); jobs != 0 || bytes != 0 || len(q.targets) != 0 || len(q.byID) != 0 {
		t.Errorf("%d jobs of %d bytes are left", jobs, bytes)
	}
}

func TestRemovedAreForgotten(t *testing.T) {
	q := New(100, 1<<20)
	q.Put(task(0, "a", 0), 1)
	for id := range int64(1000) {
		q.Put(task(1+id, "a", 1), 1)
		q.Remove(1 + id)
	}
	if n := len(q.targets["a"].entries); n > 32 {
		t.Errorf("%d entries for one job", n)
	}
}

// TestAgainstModel compares a Queue with a list that is sorted each time.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		q, model := New(64, 1<<20), map[string][]delivery.Task{}
		for range 2000 {
			id := rnd.Int64N(100)
			target := string(rune('a' + id%3)) // a job has one target
			has := slices.IndexFunc(model[target], func(t delivery.Task) bool { return t.Job.ID == id })
			switch rnd.IntN(5) {
			case 0, 1:
				j := task(id, target, rnd.IntN(50))
				if q.Room(target, 1) || has >= 0 {
					q.Put(j, 1)
					if has >= 0 {
						model[target] = slices.Delete(model[target], has, has+1)
					}
					model[target] = append(model[target], j)
					slices.SortFunc(model[target], func(a, b delivery.Task) int { return order(a.Job, b.Job) })
				}
			case 2:
				if _, ok := q.Remove(id); ok != (has >= 0) {
					t.Fatalf("seed %d: job %d was there: %v, want %v", seed, id, ok, has >= 0)
				}
				if has >= 0 {
					model[target] = slices.Delete(model[target], has, has+1)
				}
			case 3:
				at, limit := began.Add(time.Duration(rnd.IntN(50))*time.Millisecond), rnd.IntN(5)
				n := 0
				for n < limit && n < len(model[target]) && !model[target][n].Job.NextAt.After(at) {
					n++
				}
				if got, want := ids(q.Take(target, at, limit)), ids(model[target][:n]); !slices.Equal(got, want) {
					t.Fatalf("seed %d: took %v, want %v", seed, got, want)
				}
				model[target] = model[target][n:]
			case 4:
				at, ok := q.First(target)
				if ok != (len(model[target]) > 0) || ok && !at.Equal(model[target][0].Job.NextAt) {
					t.Fatalf("seed %d: the first of %s is due at %v, %v", seed, target, at, ok)
				}
			}
			total := 0
			for _, tasks := range model {
				total += len(tasks)
			}
			if jobs, bytes := q.Len(); jobs != total || bytes != total || q.Has(id) != slices.ContainsFunc(model[string(rune('a'+id%3))], func(t delivery.Task) bool { return t.Job.ID == id }) {
				t.Fatalf("seed %d: %d jobs of %d bytes, want %d", seed, jobs, bytes, total)
			}
		}
	}
}
