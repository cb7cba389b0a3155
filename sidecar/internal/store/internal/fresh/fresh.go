// Package fresh hands jobs over in memory: a store that has just committed a
// job, or has read the jobs that are due next, keeps them here with their events
// until they are claimed, so that claiming one costs no query.
//
// A [Queue] promises nothing: all that is in it is also in the database, and
// forgetting any part of it, or all, loses only time. What it must never do is
// to hold a job in another state than the database, so the store removes a job
// from it before, or while, it changes the job in any other way than by its
// attempts.
//
// It knows neither claims nor entities; who may have a job is for the store to say.
package fresh

import (
	"cmp"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// Queue holds jobs by target, those due first in front. It is not safe for
// concurrent use: the lock over the claims of its store guards it.
type Queue struct {
	maxJobs, maxBytes int

	jobs, bytes int // of all targets
	targets     map[string]*line
	byID        map[int64]*entry
}

// line is what waits for a target, in order. Removed entries stay in it until they
// are passed over.
type line struct {
	entries     []*entry
	jobs, bytes int // without removed ones
}

type entry struct {
	task    delivery.Task
	size    int
	removed bool
}

// New returns an empty Queue for so many jobs, and bytes of events, of all targets
// together.
func New(maxJobs, maxBytes int) *Queue {
	return &Queue{maxJobs: maxJobs, maxBytes: maxBytes, targets: make(map[string]*line), byID: make(map[int64]*entry)}
}

// Room reports whether another job of a size should be put in. A target may have as
// much as it leaves free: so one whose jobs nobody claims cannot keep the others out,
// and a lone one gets half of the queue.
func (q *Queue) Room(target string, size int) bool {
	jobs, bytes := 1, size
	if l := q.targets[target]; l != nil {
		jobs, bytes = jobs+l.jobs, bytes+l.bytes
	}
	return jobs <= q.maxJobs-q.jobs && bytes <= q.maxBytes-q.bytes
}

// Put puts a job in its place by the time that it is due, and by its number among
// equals. It takes it even if there is no Room, so that a commit that has decided
// can keep to that; size is about how many bytes it holds. A job that is there
// already is replaced.
func (q *Queue) Put(t delivery.Task, size int) {
	q.Remove(t.Job.ID)
	l := q.targets[t.Job.Target]
	if l == nil {
		l = &line{}
		q.targets[t.Job.Target] = l
	}
	if len(l.entries) > 2*l.jobs+16 { // jobs behind the first were removed
		l.entries = slices.DeleteFunc(l.entries, func(e *entry) bool { return e.removed })
	}
	e := &entry{task: t, size: size}
	// Nearly always the last place: so it is looked for from there.
	i := len(l.entries)
	for i > 0 && order(l.entries[i-1].task.Job, t.Job) > 0 {
		i--
	}
	l.entries = slices.Insert(l.entries, i, e)
	q.byID[t.Job.ID] = e
	q.count(l, e, 1)
}

func order(a, b delivery.Job) int {
	return cmp.Or(a.NextAt.Compare(b.NextAt), cmp.Compare(a.ID, b.ID))
}

func (q *Queue) count(l *line, e *entry, n int) {
	l.jobs += n
	q.jobs += n
	l.bytes += n * e.size
	q.bytes += n * e.size
}

// Take removes and returns up to limit jobs of a target that are due at a time, in
// order.
func (q *Queue) Take(target string, at time.Time, limit int) (tasks []delivery.Task) {
	for len(tasks) < limit {
		first := q.first(target)
		if first == nil || first.task.Job.NextAt.After(at) {
			break
		}
		tasks = append(tasks, first.task)
		q.Remove(first.task.Job.ID)
	}
	return tasks
}

// First returns when the first job of a target is due, and false if it has none.
func (q *Queue) First(target string) (time.Time, bool) {
	e := q.first(target)
	if e == nil {
		return time.Time{}, false
	}
	return e.task.Job.NextAt, true
}

// first drops the removed entries in front.
func (q *Queue) first(target string) *entry {
	l := q.targets[target]
	if l == nil {
		return nil
	}
	for i, e := range l.entries {
		if !e.removed {
			l.entries = l.entries[i:]
			return e
		}
		l.entries[i] = nil
	}
	delete(q.targets, target)
	return nil
}

// Event returns the event of a job that is here, or nil. The caller may change it.
func (q *Queue) Event(id int64) *delivery.Event {
	if e := q.byID[id]; e != nil {
		return e.task.Event
	}
	return nil
}

// Has reports whether a job is here.
func (q *Queue) Has(id int64) bool { return q.byID[id] != nil }

// Remove removes a job and returns it, and false if it is not here.
func (q *Queue) Remove(id int64) (delivery.Task, bool) {
	e := q.byID[id]
	if e == nil {
		return delivery.Task{}, false
	}
	t := e.task
	l := q.targets[t.Job.Target]
	q.count(l, e, -1)
	delete(q.byID, id)
	e.removed, e.task.Event = true, nil
	if l.jobs == 0 {
		delete(q.targets, t.Job.Target)
	}
	return t, true
}

// Len returns how many jobs are here, and about how many bytes they hold.
func (q *Queue) Len() (jobs, bytes int) { return q.jobs, q.bytes }
