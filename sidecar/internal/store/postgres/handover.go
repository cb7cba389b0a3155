package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/fresh"
)

// An event that arrives where its target waits for work is claimed by the statement
// that stores it, and handed over in memory: no other statement claims it. The row
// says so as after any claim, so that leases, hand-over and fencing are the same.
//
// A target waits for work when [DB.NextDue] has said that nothing is due for it, and
// nothing has come since. So fresh events overtake nothing that has been due for
// longer, and where more arrives than a target can take, what is too much is anybody's.
// That may overtake fresh events, until they are given back.
const (
	// What is handed over in memory is bounded, together with its events.
	maxFresh      = 8192
	maxFreshBytes = 32 << 20

	// A job may wait in memory for this part of the lease, 0.8 seconds, for its target
	// to take it. Then it is given back, for any sidecar: the target is down here, or
	// busy.
	freshPart = 13
)

// held holds the jobs that this process has claimed but not finished. The
// database has the same as the owner of the jobs; should they differ, because the
// answer to a claim was lost, held decides (see reconcile).
type held struct {
	// gate is passed by claims under way, and shut while the two are compared.
	gate gate

	// trust is how long a look is good for without a beat.
	trust time.Duration

	mu    sync.Mutex
	jobs  map[int64]claimed // guarded by mu
	fresh *fresh.Queue      // guarded by mu: those of jobs that were claimed as they were stored, and not taken yet
	looks map[string]look   // guarded by mu: by target
	beat  time.Time         // guarded by mu: of the latest look at all targets
}

func newHeld(trust time.Duration) held {
	return held{trust: trust, jobs: make(map[int64]claimed), fresh: fresh.New(maxFresh, maxFreshBytes), looks: make(map[string]look)}
}

// claimed is a claimed job. It is held by its number, which a promoted standby may
// give to another job.
type claimed struct {
	delivery string // id of the job's delivery
	target   string
	attempts int
	ordered  bool      // it has an entity
	since    time.Time // when it was put into fresh; zero if it is not there
}

// look is what is known of the unclaimed jobs of a target.
type look struct {
	turn  int       // grows when something may have changed
	known bool      // nothing has changed since
	at    time.Time // when it was asked
	due   time.Time // of the first; zero if there is none
}

// hold holds a job that is claimed as claimed says, unless it is held already: a
// promoted standby may not know of a claim, and hand the job out again.
func (h *held) hold(t delivery.Task, since time.Time) bool { // with mu
	c := claimed{t.Event.DeliveryID, t.Job.Target, t.Job.Attempts, t.Event.Entity != "", since}
	if was, ok := h.jobs[t.Job.ID]; ok && was.delivery == c.delivery && was.target == c.target && was.attempts >= c.attempts {
		return false
	}
	h.fresh.Remove(t.Job.ID) // another job of that number
	h.jobs[t.Job.ID] = c
	return true
}

// add holds tasks and returns them without those held already.
func (h *held) add(tasks []delivery.Task) (added []delivery.Task) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range tasks {
		if h.hold(t, time.Time{}) {
			added = append(added, t)
		}
	}
	return added
}

// put hands over a job that was claimed as it was stored.
func (h *held) put(t delivery.Task) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hold(t, time.Now()) {
		h.fresh.Put(t, freshSize(t.Event))
	}
}

func freshSize(e *delivery.Event) int { return len(e.Body) + 2*rowBytes }

// wants reports whether a job of a target that is about to be stored should be
// claimed at once.
func (h *held) wants(target string, e *delivery.Event) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return e.Entity == "" && !h.mayWait(target, time.Now()) && h.fresh.Room(target, freshSize(e))
}

// mayWait reports whether unclaimed jobs of a target may be due.
func (h *held) mayWait(target string, now time.Time) bool { // with mu
	l := h.looks[target]
	return !h.known(l) || !l.due.IsZero() && !l.due.After(now)
}

func (h *held) known(l look) bool { // with mu
	return l.known && (time.Since(l.at) < h.trust || time.Since(h.beat) < h.trust)
}

// take returns fresh jobs of a target. It reports instead that the database must be
// asked if jobs there may be due before them, or there are none and it may have some.
func (h *held) take(target string, now time.Time, limit int) (tasks []delivery.Task, ask bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mayWait(target, now) {
		first, ok := h.fresh.First(target)
		if l := h.looks[target]; !ok || !h.known(l) || !first.Before(l.due) {
			return nil, true
		}
	}
	return h.takeFresh(target, now, limit), false
}

// rest returns fresh jobs of a target that fit behind those of the database.
func (h *held) rest(target string, now time.Time, limit int) []delivery.Task {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.takeFresh(target, now, limit)
}

// takeFresh leaves out those that have waited for so long, in a process that was
// stopped, that others may have them: the next beat gives them back.
func (h *held) takeFresh(target string, now time.Time, limit int) []delivery.Task { // with mu
	tasks := h.fresh.Take(target, now, limit)
	return slices.DeleteFunc(tasks, func(t delivery.Task) bool {
		c := h.jobs[t.Job.ID]
		if time.Since(c.since) > h.trust/2 {
			delete(h.jobs, t.Job.ID)
			return true
		}
		c.since = time.Time{}
		h.jobs[t.Job.ID] = c
		return false
	})
}

// recall takes the fresh jobs that which selects out of the line. They stay held.
func (h *held) recall(which func(claimed) bool) (tasks []delivery.Task) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, _ := h.fresh.Len(); n == 0 {
		return nil
	}
	for id, c := range h.jobs {
		if c.since.IsZero() || !which(c) {
			continue
		}
		if t, ok := h.fresh.Remove(id); ok {
			tasks = append(tasks, t)
		}
		c.since = time.Time{}
		h.jobs[id] = c
	}
	return tasks
}

// looking begins a look at the unclaimed jobs of a target. looked ends it: unless
// something has changed meanwhile, its result is known.
func (h *held) looking(target string) (turn int, l look, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l = h.looks[target]
	return l.turn, l, h.known(l)
}

func (h *held) looked(target string, turn int, at, due time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.looks[target].turn == turn {
		h.looks[target] = look{turn: turn, known: true, at: at, due: due}
	}
}

// changed says that there may be more unclaimed jobs of targets than were known. It is
// called after the commit.
func (h *held) changed(targets ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, target := range targets {
		h.looks[target] = look{turn: h.looks[target].turn + 1}
	}
}

// looksGood says that at a time no targets but some, which have been reported as
// changed, had unclaimed jobs.
func (h *held) looksGood(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beat = at
}

// firstFresh returns when the first fresh job of a target is due.
func (h *held) firstFresh(target string) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fresh.First(target)
}

// names returns the held jobs.
func (h *held) names() (ids []int64, deliveries, targets []string, attempts []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, c := range h.jobs {
		ids, deliveries = append(ids, id), append(deliveries, wrap(c.delivery))
		targets, attempts = append(targets, c.target), append(attempts, c.attempts)
	}
	return ids, deliveries, targets, attempts
}

// keep drops the jobs that are not known, and returns how many. A fresh one must
// be ours as well.
func (h *held) keep(ids []int64, deliveries []string, known map[int64]bool) (dropped int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, id := range ids {
		c, ok := h.jobs[id]
		if !ok || wrap(c.delivery) != deliveries[i] {
			continue
		}
		ours, found := known[id]
		if !found {
			dropped++
		}
		if !found || !ours && !c.since.IsZero() {
			h.fresh.Remove(id)
			delete(h.jobs, id)
		}
	}
	return dropped
}

func (h *held) list() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make([]int64, 0, len(h.jobs))
	for id := range h.jobs {
		ids = append(ids, id)
	}
	return ids
}

// ordered reports whether a job may have an entity.
func (h *held) ordered(jobID int64, delivery string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.jobs[jobID]
	return !ok || c.delivery != delivery || c.ordered
}

// forget drops a held job, unless it has been claimed again since for a later
// attempt, and reports whether it was held.
func (h *held) forget(jobID int64, delivery, target string, attempts int) (was bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.jobs[jobID]
	if was = ok && c.delivery == delivery && c.target == target && c.attempts <= attempts; was {
		h.fresh.Remove(jobID)
		delete(h.jobs, jobID)
	}
	return was
}

// keepFresh gives back what nobody takes, until the store is closed.
func (db *DB) keepFresh() {
	long := db.ttl / freshPart
	tick := time.NewTicker(long / 4)
	defer tick.Stop()
	for {
		select {
		case <-db.background.Done():
			return
		case <-tick.C:
			db.giveBack(db.background, db.held.recall(func(c claimed) bool { return time.Since(c.since) > long }))
		}
	}
}

// giveBack gives back fresh jobs. What cannot be given back now is with the next beat.
func (db *DB) giveBack(ctx context.Context, tasks []delivery.Task) {
	if len(tasks) == 0 {
		return
	}
	if targets, err := db.giveBackAll(ctx, tasks); err == nil {
		db.wakeUp(targets)
	}
}
