package sqlite

import (
	"context"
	"database/sql"
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

// dueJobs is stepped through until enough jobs are found that nobody has
// claimed. Claimed ones are as old as any, but there are never more of them
// than attempts in flight.
//
// head is the first pending job of the same entity, by its event; a job that
// is not the head is blocked.
const dueJobs = `
SELECT ` + jobColumns + `, (SELECT delivery_id FROM events WHERE seq = event_seq), entity, iif(entity = '', event_seq, (
	SELECT b.event_seq FROM jobs AS b
	WHERE b.target = jobs.target AND b.entity = jobs.entity AND b.entity <> '' AND b.state = 'pending'
	ORDER BY b.order_at, b.event_seq LIMIT 1)) AS head
FROM jobs
WHERE target = ? AND state = 'pending' AND next_at <= ?
ORDER BY next_at, id`

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
	for {
		jobs, blocked, all, err := db.claimJobs(ctx, target, now, limit)
		if err != nil {
			return nil, db.readError("claim", err)
		}
		if len(blocked) > 0 {
			if err := db.putOff(ctx, blocked); err != nil {
				db.giveBack(jobs)
				return nil, err
			}
		}
		if len(jobs) == 0 && !all {
			continue // only blocked ones so far
		}
		return db.tasks(ctx, jobs)
	}
}

// claimJobs claims the jobs it can, and returns the blocked jobs it found and
// whether it has seen all due ones.
//
// It holds claimMu across the query. Finish gives up its claim after its commit; so
// a job that looks pending because the query began before that commit still has
// its claim and is skipped.
func (db *DB) claimJobs(ctx context.Context, target string, now time.Time, limit int) (jobs []claimedJob, blocked []int64, all bool, err error) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	rows, err := db.queries.dueJobs.QueryContext(ctx, target, now.UnixMicro())
	if err != nil {
		return nil, nil, false, err
	}
	defer rows.Close()
	claims := make(map[int64]claim, limit)
	for looked := 0; len(jobs) < limit; looked++ {
		if looked == maxLook && len(blocked) > 0 {
			break
		}
		if !rows.Next() {
			all = true
			break
		}
		var entity, delivery string
		var head int64
		j, err := scanJob(rows, &delivery, &entity, &head)
		if err != nil {
			return nil, nil, false, err
		}
		c := claim{of: jobName{delivery, target}, attempts: j.Attempts}
		if entity != "" {
			c.lane = lane{target, entity}
		}
		switch {
		case db.claimed(j.ID, jobName{delivery, target}):
		case head != j.EventSeq:
			blocked = append(blocked, j.ID)
		case db.busy(c.lane):
		default:
			// The head of its lane appears only once.
			claims[j.ID] = c
			jobs = append(jobs, claimedJob{j, delivery})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, false, err
	}
	for id, c := range claims {
		db.free(id) // in case the number was another job's
		db.claims[id] = c
		if c.lane != (lane{}) {
			db.lanes[c.lane] = struct{}{}
		}
	}
	return jobs, blocked, all, nil
}

// busy reports whether a job of the lane is claimed. The caller holds claimMu.
func (db *DB) busy(l lane) bool {
	_, busy := db.lanes[l]
	return busy
}

func (db *DB) putOff(ctx context.Context, jobs []int64) error {
	until := time.Now().Add(putOffFor).UnixMicro()
	return db.write(ctx, "claim", 64*len(jobs), func(w *writer) error {
		for _, id := range jobs {
			if _, err := w.putOff.Exec(id, until); err != nil {
				return err
			}
		}
		return nil
	})
}

// claimedJob is a job that was just claimed, and whose event has not been read.
type claimedJob struct {
	delivery.Job
	delivery string
}

func (j *claimedJob) name() jobName { return jobName{j.delivery, j.Target} }

func (db *DB) giveBack(jobs []claimedJob) {
	for _, j := range jobs {
		db.unclaim(j.ID, j.name(), j.Attempts)
	}
}

// tasks returns claimed jobs with their events, or gives them back.
func (db *DB) tasks(ctx context.Context, jobs []claimedJob) ([]delivery.Task, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	tasks, err := db.loadTasks(ctx, jobs)
	if err != nil {
		db.giveBack(jobs)
		return nil, db.readError("claim", err)
	}
	return tasks, nil
}

// loadTasks reads the events of jobs, in a later state of the database than that in
// which the jobs were found: a job whose event has changed or gone, because the
// database was restored in between, is given back.
func (db *DB) loadTasks(ctx context.Context, jobs []claimedJob) ([]delivery.Task, error) {
	seqs := make([]int64, len(jobs))
	for i, j := range jobs {
		seqs[i] = j.EventSeq
	}
	rows, err := db.queries.eventsBySeq.QueryContext(ctx, jsonList(seqs))
	if err != nil {
		return nil, err
	}
	events, err := collect(rows, scanEvent)
	if err != nil {
		return nil, err
	}
	bySeq := make(map[int64]*delivery.Event, len(events))
	for _, e := range events {
		bySeq[e.Seq] = e
	}
	tasks := make([]delivery.Task, 0, len(jobs))
	for _, j := range jobs {
		e := bySeq[j.EventSeq]
		if e == nil || e.DeliveryID != j.delivery {
			db.unclaim(j.ID, j.name(), j.Attempts)
			continue
		}
		tasks = append(tasks, delivery.Task{Job: j.Job, Event: e})
	}
	return tasks, nil
}

// NextDue implements [store.Store].
func (db *DB) NextDue(ctx context.Context, target string) (time.Time, bool, error) {
	if db.closed() {
		return time.Time{}, false, store.ErrClosed
	}
	due, found, err := db.nextDue(ctx, target)
	if err != nil {
		return time.Time{}, false, db.readError("next due", err)
	}
	return due, found, nil
}

const pendingJobs = `
SELECT id, (SELECT delivery_id FROM events WHERE seq = event_seq), entity, next_at FROM jobs WHERE target = ? AND state = 'pending' ORDER BY next_at, id`

// nextDue skips jobs of a busy lane: they become due, at the earliest, when the
// claimed one ends, after which the caller looks again.
func (db *DB) nextDue(ctx context.Context, target string) (due time.Time, found bool, err error) {
	db.claimMu.Lock() // as in claimJobs
	defer db.claimMu.Unlock()
	rows, err := db.queries.pendingJobs.QueryContext(ctx, target)
	if err != nil {
		return due, false, err
	}
	defer rows.Close()
	for looked := 0; rows.Next(); looked++ {
		var id int64
		var delivery, entity string
		var at sql.NullInt64
		if err := rows.Scan(&id, &delivery, &entity, &at); err != nil {
			return due, false, err
		}
		if db.claimed(id, jobName{delivery, target}) || entity != "" && db.busy(lane{target, entity}) {
			if looked > maxLook {
				return time.Now().Add(time.Second), true, nil // no need to know exactly
			}
			continue
		}
		return fromMicros(at), true, nil
	}
	return due, false, rows.Err()
}

// Release implements [store.Store]. Nothing is written: the claim is in memory.
func (db *DB) Release(_ context.Context, t delivery.Task) error {
	if db.closed() {
		return store.ErrClosed
	}
	db.unclaim(t.Job.ID, jobName{t.Event.DeliveryID, t.Job.Target}, t.Job.Attempts)
	return nil
}

// unclaim gives up a claim unless the job has been claimed again since, for a
// later attempt: a late repetition of Finish must not touch that one.
func (db *DB) unclaim(jobID int64, of jobName, attempts int) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	if c, ok := db.claims[jobID]; ok && c.of == of && c.attempts <= attempts {
		db.free(jobID)
	}
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
