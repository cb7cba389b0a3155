package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Claims are kept in memory. The directory has one owner, so nobody else needs
// to see them, and after a crash every pending job is free again without any
// recovery: the same query finds it. A claim that was written would cost each
// job one more commit.

// dueJobs is stepped through until enough jobs are found that nobody has
// claimed. Claimed ones are as old as any, but there are never more of them
// than attempts in flight.
const dueJobs = `
SELECT id, event_seq, attempts, next_at FROM jobs
WHERE target = ? AND state = 'pending' AND next_at <= ?
ORDER BY next_at, id`

// Claim implements [store.Store]. Claims do not survive a crash.
func (db *DB) Claim(ctx context.Context, target string, now time.Time, limit int) ([]store.Task, error) {
	if db.closed() {
		return nil, store.ErrClosed
	}
	if limit <= 0 {
		return nil, nil
	}
	jobs, err := db.claimJobs(ctx, target, now, limit)
	if err != nil {
		return nil, db.readError("claim", err)
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	tasks, err := db.loadTasks(ctx, jobs)
	if err != nil {
		for _, j := range jobs {
			db.unclaim(j.ID, j.Attempts)
		}
		return nil, db.readError("claim", err)
	}
	return tasks, nil
}

// claimJobs holds claimMu across the query. Finish gives up its claim after
// its commit; so a job that looks pending here because the query began before
// that commit still has its claim and is passed over.
func (db *DB) claimJobs(ctx context.Context, target string, now time.Time, limit int) (jobs []store.Job, err error) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	rows, err := db.queries.dueJobs.QueryContext(ctx, target, now.UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for len(jobs) < limit && rows.Next() {
		j := store.Job{Target: target, State: store.Pending}
		var due sql.NullInt64
		if err := rows.Scan(&j.ID, &j.EventSeq, &j.Attempts, &due); err != nil {
			return nil, err
		}
		if _, claimed := db.claims[j.ID]; claimed {
			continue
		}
		j.NextAt = fromMicros(due)
		jobs = append(jobs, j)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, j := range jobs {
		db.claims[j.ID] = j.Attempts
	}
	return jobs, nil
}

func (db *DB) loadTasks(ctx context.Context, jobs []store.Job) ([]store.Task, error) {
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
	bySeq := make(map[int64]*store.Event, len(events))
	for _, e := range events {
		bySeq[e.Seq] = e
	}
	tasks := make([]store.Task, len(jobs))
	for i, j := range jobs {
		tasks[i] = store.Task{Job: j, Event: bySeq[j.EventSeq]}
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

func (db *DB) nextDue(ctx context.Context, target string) (due time.Time, found bool, err error) {
	db.claimMu.Lock() // as in claimJobs
	defer db.claimMu.Unlock()
	rows, err := db.queries.pendingJobs.QueryContext(ctx, target)
	if err != nil {
		return due, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var at sql.NullInt64
		if err := rows.Scan(&id, &at); err != nil {
			return due, false, err
		}
		if _, claimed := db.claims[id]; !claimed {
			return fromMicros(at), true, nil
		}
	}
	return due, false, rows.Err()
}

// Release implements [store.Store]. Nothing is written: the claim is in memory.
func (db *DB) Release(_ context.Context, jobID int64) error {
	if db.closed() {
		return store.ErrClosed
	}
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	delete(db.claims, jobID)
	return nil
}

// unclaim gives up a claim unless the job has been claimed again since, for a
// later attempt: a late repetition of Finish must not touch that one.
func (db *DB) unclaim(jobID int64, attempts int) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	if had, ok := db.claims[jobID]; ok && had == attempts {
		delete(db.claims, jobID)
	}
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
