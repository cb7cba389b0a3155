package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// claimJobs takes the due jobs of a target that nobody has claimed and that have
// no entity; it only reports those of entities. It skips rows that another
// sidecar is taking.
const claimJobs = `
WITH due AS (
	SELECT id, entity, next_at FROM hookswitch_jobs
	WHERE target = $1 AND state = 'pending' AND owner IS NULL AND next_at <= $2
	ORDER BY next_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
), mine AS (
	UPDATE hookswitch_jobs AS j SET owner = $4 FROM due WHERE j.id = due.id AND due.entity = ''
	RETURNING ` + jobColumns + `
)
SELECT due.entity <> '', ` + jobColumns + `, ` + eventColumns + `
FROM due LEFT JOIN mine AS j ON j.id = due.id LEFT JOIN hookswitch_events AS e ON e.seq = j.event_seq
WHERE j.id IS NOT NULL OR due.entity <> ''
ORDER BY due.next_at, due.id`

// Jobs of entities are claimed under a lock per target, in two statements: the
// second sees all that was committed before the rows were locked.
const (
	lockTarget = `SELECT pg_advisory_xact_lock($1, hashtext($2))`

	lockDue = `
SELECT id FROM hookswitch_jobs
WHERE target = $1 AND state = 'pending' AND owner IS NULL AND next_at <= $2 AND entity <> ''
ORDER BY next_at, id LIMIT $3 FOR UPDATE SKIP LOCKED`

	// claimHeads takes those that are the first pending ones of their entity
	// while no other of it is claimed. The others are put off, so that the
	// next claim need not look at them: they become due with the end of the
	// one in front (see pullNext) or, should that ever be missed, by
	// themselves. Nothing is parked for good.
	claimHeads = `
WITH looked AS (
	SELECT j.id, j.next_at, head.next_at AS head_at, j.id = head.id AND NOT EXISTS (
		SELECT 1 FROM hookswitch_jobs AS b
		WHERE b.target = j.target AND b.entity = j.entity AND b.state = 'pending' AND b.owner IS NOT NULL
	) AS free
	FROM hookswitch_jobs AS j CROSS JOIN LATERAL (
		SELECT b.id, b.next_at FROM hookswitch_jobs AS b
		WHERE b.target = j.target AND b.entity = j.entity AND b.entity <> '' AND b.state = 'pending'
		ORDER BY b.order_at, b.event_seq LIMIT 1
	) AS head
	WHERE j.id = ANY($1)
), taken AS (
	SELECT id FROM looked WHERE free ORDER BY next_at, id LIMIT $2
), put_off AS (
	UPDATE hookswitch_jobs AS j SET next_at = greatest(l.head_at, $4)
	FROM looked AS l WHERE j.id = l.id AND NOT l.free
), mine AS (
	UPDATE hookswitch_jobs AS j SET owner = $3 FROM taken WHERE j.id = taken.id
	RETURNING ` + jobColumns + `
)
SELECT true, ` + jobColumns + `, ` + eventColumns + `
FROM mine AS j JOIN hookswitch_events AS e ON e.seq = j.event_seq
ORDER BY j.next_at, j.id`
)

const (
	// putOffFor is how long a blocked job is put off if the one in front of
	// it is due before that. Usually the end of that one ends the wait.
	putOffFor = 5 * time.Second

	// maxLook is how many jobs of entities one step of a claim looks at, and
	// maxSteps how many steps it makes: a backlog of blocked jobs is put off
	// in pieces.
	maxLook  = 500
	maxSteps = 10
)

// Claim implements [store.Store].
func (db *DB) Claim(ctx context.Context, target string, now time.Time, limit int) (tasks []delivery.Task, err error) {
	if db.closed() {
		return nil, store.ErrClosed
	}
	if limit <= 0 {
		return nil, nil
	}
	tasks, ask := db.held.take(target, now, limit)
	if !ask {
		return tasks, nil
	}
	db.held.gate.enter()
	defer db.held.gate.leave()
	defer db.held.changed(target)
	entities := false
	err = db.again(ctx, func() (err error) {
		tasks, entities, err = db.claimFree(ctx, target, now, limit)
		if err != nil {
			db.lease.poke() // jobs claimed nevertheless are given back soon
		}
		return err
	})
	if err == nil {
		tasks = db.held.add(tasks)
		if entities && len(tasks) < limit {
			var heads []delivery.Task
			heads, err = db.claimEntities(ctx, target, now, limit-len(tasks))
			tasks = append(tasks, db.held.add(heads)...)
		}
	}
	if err != nil && len(tasks) == 0 {
		return nil, db.failed("claim", err)
	}
	return append(tasks, db.held.rest(target, now, limit-len(tasks))...), nil
}

// claimFree also reports whether it found jobs of entities.
func (db *DB) claimFree(ctx context.Context, target string, now time.Time, limit int) (tasks []delivery.Task, entities bool, err error) {
	found, err := query(ctx, db, func(rows pgx.Rows) (t delivery.Task, err error) {
		// For a job that is not ours only the first column can be read.
		var entity bool
		if err := rows.Scan(append([]any{&entity}, make([]any, len(rows.FieldDescriptions())-1)...)...); err != nil || entity {
			return t, err
		}
		return scanTask(rows)
	}, claimJobs, target, at(now), limit, db.owner)
	for _, t := range found {
		if t.Event == nil {
			entities = true
			continue
		}
		tasks = append(tasks, t)
	}
	return tasks, entities, err
}

func scanTask(rows pgx.Rows) (t delivery.Task, err error) {
	var entity bool
	var due, round *time.Time
	t.Event, err = scanEvent(rows, append([]any{&entity}, jobFields(&t.Job, &due, &round)...)...)
	t.Job = jobTimes(t.Job, due, round)
	return t, err
}

func (db *DB) claimEntities(ctx context.Context, target string, now time.Time, limit int) (tasks []delivery.Task, err error) {
	for range maxSteps {
		var looked int
		err = db.again(ctx, func() error {
			return db.transact(ctx, beginWrite, func(tx pgx.Tx) error {
				looked, tasks, err = db.claimHeads(ctx, tx, target, now, limit)
				return err
			})
		})
		if err != nil {
			db.lease.poke()
			return nil, err
		}
		if len(tasks) > 0 || looked < maxLook {
			return tasks, nil
		}
	}
	return nil, nil
}

func (db *DB) claimHeads(ctx context.Context, tx pgx.Tx, target string, now time.Time, limit int) (looked int, tasks []delivery.Task, err error) {
	if _, err := tx.Exec(ctx, lockTarget, lockSpace, target); err != nil {
		return 0, nil, err
	}
	rows, err := tx.Query(ctx, lockDue, target, at(now), maxLook)
	if err != nil {
		return 0, nil, err
	}
	ids, err := collect(rows, scanOne[int64])
	if err != nil || len(ids) == 0 {
		return 0, nil, err
	}
	rows, err = tx.Query(ctx, claimHeads, ids, limit, db.owner, at(time.Now().Add(putOffFor)))
	if err != nil {
		return 0, nil, err
	}
	tasks, err = collect(rows, scanTask)
	return len(ids), tasks, err
}

// NextDue implements [store.Store]. Jobs that wait for another of their entity
// count as due when they were put off to.
func (db *DB) NextDue(ctx context.Context, target string) (time.Time, bool, error) {
	if db.closed() {
		return time.Time{}, false, store.ErrClosed
	}
	turn, l, known := db.held.looking(target)
	if !known {
		began := time.Now()
		var due []*time.Time
		err := db.again(ctx, func() (err error) {
			due, err = query(ctx, db, scanOne[*time.Time], `SELECT next_at FROM hookswitch_jobs
				WHERE target = $1 AND state = 'pending' AND owner IS NULL ORDER BY next_at, id LIMIT 1`, target)
			return err
		})
		if err != nil {
			return time.Time{}, false, db.failed("next due", err)
		}
		if l.due = (time.Time{}); len(due) > 0 {
			l.due = fromAt(due[0])
		}
		db.held.looked(target, turn, began, l.due)
	}
	first, ok := db.held.firstFresh(target)
	if !ok || !l.due.IsZero() && l.due.Before(first) {
		first = l.due
	}
	return first, !first.IsZero(), nil
}
