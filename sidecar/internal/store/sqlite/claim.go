package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Claims are kept in memory. The directory has one owner, so nobody else needs to
// see them, and after a crash every pending job is free again without recovery: the
// same query finds it. Writing claims would cost each job one more commit.

// claim is a job being worked on. It is kept by the number of the job, which a
// database that is restored while it runs gives to another job.
type claim struct {
	of       jobName
	attempts int // when it was claimed
	lane     lane
}

// jobName identifies a job permanently.
type jobName struct{ delivery, target string }

// lane is the common key of jobs that go one at a time: an entity at a target. The
// zero lane has room for any number.
type lane struct{ target, entity string }

// A blocked job is put off, so that the next claim need not look at it. It becomes
// due with the end of the one before it (see pullNext), or, should that ever be
// missed, by itself: nothing is parked for ever. The writer checks the condition
// again, and nothing changes after that.
const putOff = `
UPDATE jobs SET next_at = max(?2, (
	SELECT b.next_at FROM jobs AS b
	WHERE b.target = jobs.target AND b.entity = jobs.entity AND b.entity <> '' AND b.state = 'pending'
	ORDER BY b.order_at, b.event_seq LIMIT 1))
WHERE id = ?1 AND state = 'pending' AND event_seq <> (
	SELECT b.event_seq FROM jobs AS b
	WHERE b.target = jobs.target AND b.entity = jobs.entity AND b.entity <> '' AND b.state = 'pending'
	ORDER BY b.order_at, b.event_seq LIMIT 1)`

const (
	// putOffFor is how long a blocked job is put off if the one before it is
	// due sooner.
	putOffFor = time.Minute

	// maxLook bounds how many jobs one claim looks at: a backlog of blocked
	// ones is put off in pieces.
	maxLook = 2000
)

// Claim implements [store.Store]. Claims do not survive a crash.
func (db *DB) Claim(ctx context.Context, target string, now time.Time, limit int) ([]delivery.Task, error) {
	if db.closed() {
		return nil, store.ErrClosed
	}
	if limit <= 0 {
		return nil, nil
	}
	var all []delivery.Task
	for revealed := false; ; {
		tasks, blocked, err := db.claimAhead(ctx, target, now, limit-len(all), revealed)
		all = append(all, tasks...)
		if revealed = err == errHidden; revealed {
			if err = db.catchUp(ctx, "claim"); err != nil && len(all) > 0 {
				return all, nil // the rest can wait
			}
		}
		if err == nil && len(blocked) > 0 {
			err = db.putOff(ctx, target, blocked)
		}
		switch {
		case err != nil:
			db.giveBack(all)
			return nil, err
		case revealed, len(all) == 0 && len(blocked) > 0:
			continue // there may be more
		}
		return all, nil
	}
}

// claimAhead claims jobs from memory, and reads ahead when more are due than are
// there. It returns the blocked jobs that it has met on the way; or errHidden if a
// query might not find all that is due, unless the tables have just caught up.
func (db *DB) claimAhead(ctx context.Context, target string, now time.Time, limit int, revealed bool) (tasks []delivery.Task, blocked []int64, err error) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	for {
		next := db.ahead.next(target)
		for _, t := range db.ahead.take(target, min(next, now.UnixMicro()), limit-len(tasks)) {
			c := claim{of: jobName{t.Event.DeliveryID, target}, attempts: t.Job.Attempts, lane: laneOf(t)}
			db.free(t.Job.ID) // in case the number was another job's
			db.claims[t.Job.ID] = c
			if c.lane != (lane{}) {
				db.lanes[c.lane] = struct{}{}
				db.ahead.blur(target) // what is due next may be behind it
			}
			tasks = append(tasks, t)
		}
		if len(tasks) == limit || next > now.UnixMicro() || len(blocked) > 0 {
			return tasks, blocked, nil
		}
		if db.ahead.hides(target) <= now.UnixMicro() && !revealed {
			return tasks, nil, errHidden
		}
		revealed = false // something may have come since
		if blocked, err = db.readAhead(ctx, target, now, limit-len(tasks)); err != nil {
			return tasks, nil, db.readError("claim", err)
		}
	}
}

var errHidden = errors.New("a job that is due may be in the journal only")

// busy reports whether a job of the lane is claimed. The caller holds claimMu.
func (db *DB) busy(l lane) bool {
	_, busy := db.lanes[l]
	return busy
}

func (db *DB) putOff(ctx context.Context, target string, blocked []int64) error {
	until := time.Now().Add(putOffFor).UnixMicro()
	err := db.write(ctx, "claim", 64*len(blocked), func(w *writer) error {
		for _, id := range blocked {
			if _, err := w.putOff.Exec(id, until); err != nil {
				return err
			}
		}
		return nil
	})
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	if err != nil {
		db.ahead.lose(target)
	} else {
		db.ahead.lower(target, until)
	}
	return err
}

// giveBack frees jobs that were just claimed.
func (db *DB) giveBack(tasks []delivery.Task) {
	for _, t := range tasks {
		// It may have held up others, or have been brought forward.
		db.unclaim(t.Job.ID, jobName{t.Event.DeliveryID, t.Job.Target}, t.Job.Attempts, unknown)
	}
}

// NextDue implements [store.Store].
func (db *DB) NextDue(ctx context.Context, target string) (time.Time, bool, error) {
	if db.closed() {
		return time.Time{}, false, store.ErrClosed
	}
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	first, some := db.ahead.jobs.First(target)
	unsure := func() bool {
		return (!some || first.UnixMicro() > db.ahead.next(target)) && db.ahead.vague(target)
	}
	if unsure() && db.ahead.hides(target) <= time.Now().UnixMicro() {
		db.claimMu.Unlock()
		err := db.catchUp(ctx, "next due")
		db.claimMu.Lock()
		if err != nil {
			return time.Time{}, false, err
		}
		first, some = db.ahead.jobs.First(target)
	}
	if unsure() {
		if !some {
			db.ahead.lose(target) // a doubt is about all of it
		}
		if _, err := db.readAhead(ctx, target, time.Time{}, 0); err != nil {
			return time.Time{}, false, db.readError("next due", err)
		}
	}
	switch next := db.ahead.next(target); {
	case some && first.UnixMicro() <= next:
		return first, true, nil
	case next == never:
		return time.Time{}, false, nil
	default:
		return time.UnixMicro(next).UTC(), true, nil
	}
}

// Release implements [store.Store]. Nothing is written: the claim is in memory.
func (db *DB) Release(_ context.Context, t delivery.Task) error {
	if db.closed() {
		return store.ErrClosed
	}
	db.giveBack([]delivery.Task{t})
	return nil
}

// unclaim gives up a claim unless the job has been claimed again since, for a
// later attempt: a late repetition of Finish must not touch that one. due is when
// the job, or one that it held up, may be due, or never.
func (db *DB) unclaim(jobID int64, of jobName, attempts int, due int64) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	if c, ok := db.claims[jobID]; ok && c.of == of && c.attempts <= attempts {
		db.free(jobID)
	}
	db.ahead.remove(jobID) // if it was not claimed here
	db.ahead.lower(of.target, due)
}

// claimed reports whether the job is being worked on. The caller holds claimMu.
func (db *DB) claimed(jobID int64, of jobName) bool {
	c, ok := db.claims[jobID]
	return ok && c.of == of
}

// free forgets a claim. The caller holds claimMu.
func (db *DB) free(jobID int64) {
	delete(db.lanes, db.claims[jobID].lane)
	delete(db.claims, jobID)
}

func (db *DB) closed() bool {
	select {
	case <-db.closing:
		return true
	default:
		return false
	}
}

// readError is explain, except for a query that Close has overtaken.
func (db *DB) readError(operation string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return err
	}
	if db.closed() {
		return store.ErrClosed
	}
	return db.explain(operation, err)
}
