package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
)

// The record of an event is also its lock: a transaction that changes the event's
// jobs locks it first, in the order of seq, and looks at the jobs in a later
// statement. Otherwise two sidecars that end two jobs of one event would each see
// the other job pending, and neither would call the delivery final.
const lockRecordsOfJobs = `
SELECT r.seq FROM hookswitch_records AS r
WHERE r.seq IN (SELECT j.event_seq FROM hookswitch_jobs AS j WHERE j.id = ANY($1))
ORDER BY r.seq FOR UPDATE`

// jobIs is the condition that job j is that of row i of a statement's input. The
// delivery and the target name it; the number only locates it, since a promoted
// standby reuses the numbers that it had not received. A subquery, so that it is
// looked up by key, whatever the statistics say.
const jobIs = `j.target = i.target AND (SELECT e.delivery_id FROM hookswitch_events AS e WHERE e.seq = j.event_seq) = i.delivery_id`

// finishJobs moves each job by one attempt, if that is the next one, brings the
// records up to date, and returns what it found. The row of an attempt shows whether
// it was recorded before. The lateral queries look up one row each, see byKey.
//
// A record's status sums up the jobs of its event: those that this statement moves as
// they will be, the others as they are.
const finishJobs = `
WITH input AS (
	SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
		$7::text[], $8::bigint[], $9::text[], $10::text[], $11::int[], $12::text[], $13::bytea[], $14::text[], $15::text[],
		$16::text[], $17::text[], $18::bigint[])
	AS t (job_id, n, state, due, started_at, finished_at, outcome, retry_after, request_url, request_header,
		response_status, response_header, response_body, error_codes, error, delivery_id, target, bytes)
), have AS MATERIALIZED (
	SELECT i.*, j.id IS NOT NULL AS found, coalesce(j.state, '') AS was, coalesce(j.attempts, 0) AS attempts, j.event_seq AS seq,
		a.n IS NOT NULL AS recorded
	FROM input AS i LEFT JOIN LATERAL (SELECT * FROM hookswitch_jobs AS j WHERE j.id = i.job_id OFFSET 0) AS j ON ` + jobIs + `
		LEFT JOIN LATERAL (SELECT a.n FROM hookswitch_attempts AS a WHERE a.job_id = i.job_id AND a.n = i.n OFFSET 0) AS a ON true
), good AS MATERIALIZED (
	SELECT * FROM have WHERE found AND NOT recorded AND was = 'pending' AND attempts < n
), moved AS (
	UPDATE hookswitch_jobs AS j SET state = g.state, attempts = g.n, next_at = g.due, owner = NULL,
		base = j.base + (g.outcome = 'lost')::int -- outside of the schedule
	FROM good AS g WHERE j.id = g.job_id
), kept AS (
	INSERT INTO hookswitch_attempts (job_id, n, started_at, finished_at, outcome, retry_after, request_url, request_header,
		response_status, response_header, response_body, error_codes, error)
	SELECT job_id, n, started_at, finished_at, outcome, retry_after, request_url, request_header,
		response_status, response_header, response_body, error_codes, error FROM good
), events AS (
	SELECT seq, min(started_at) AS started_at, max(finished_at) AS finished_at, sum(bytes) AS bytes,
		array_agg(job_id) AS ids, array_agg(state) AS states
	FROM good GROUP BY seq
), recorded AS (
	UPDATE hookswitch_records AS r SET status = s.status, handled = true, bytes = r.bytes + s.bytes,
		started_at = least(r.started_at, s.started_at), finished_at = greatest(r.finished_at, s.finished_at)
	FROM (
		SELECT e.*, (SELECT ` + status + ` FROM (
			SELECT coalesce(e.states[array_position(e.ids, j.id)], j.state) AS state, j.round, j.was
			FROM hookswitch_jobs AS j WHERE j.event_seq = e.seq OFFSET 0) AS j) AS status
		FROM events AS e
	) AS s WHERE r.seq = s.seq
)
SELECT job_id, found, recorded, was, attempts FROM have`

// pullNext makes the first pending job of each entity due once the job before it
// has ended, unless it waits for a retry of its own.
const pullNext = `
UPDATE hookswitch_jobs SET next_at = least(next_at, $2) WHERE id IN (
	SELECT head.id FROM (
		SELECT DISTINCT target, entity FROM hookswitch_jobs WHERE id = ANY($1) AND entity <> '' AND state <> 'pending'
	) AS lane CROSS JOIN LATERAL (
		SELECT b.id, b.attempts, b.base FROM hookswitch_jobs AS b
		WHERE b.target = lane.target AND b.entity = lane.entity AND b.entity <> '' AND b.state = 'pending'
		ORDER BY b.order_at, b.event_seq LIMIT 1
	) AS head WHERE head.attempts = head.base
)`

// status sums up jobs j; see store.Delivery for what a replay does to that.
const status = `CASE
	WHEN count(*) FILTER (WHERE j.state = 'pending' AND j.round = 0) > 0 THEN NULL
	WHEN count(*) FILTER (WHERE j.state <> 'done' AND NOT (j.state = 'pending' AND j.was = 'done')) > 0 THEN 'failed'
	ELSE 'delivered' END`

// statusOf is the status of record r.
const statusOf = `(SELECT ` + status + ` FROM hookswitch_jobs AS j WHERE j.event_seq = r.seq)`

// finishOp is one Finish.
type finishOp struct {
	batch.Op
	a     encodedAttempt
	state delivery.State
	due   *time.Time
	bare  bool // the server refused its text, even encoded
}

// tame implements operation. The state of the job matters more than the target's
// words: as a last resort they are left out.
func (o *finishOp) tame() bool {
	a := o.a.Attempt
	switch {
	case !o.a.ascii:
	case !o.bare:
		o.bare = true
		a.RequestURL, a.RequestHeader, a.ResponseHeader, a.ResponseBody = "", nil, nil, nil
		a.Error = "the database refused the text of this result"
	default:
		return false
	}
	e, err := encodeAttempt(a, true)
	o.a = e
	return err == nil
}

// Finish implements [store.Store]. It does not check who claimed the job: a
// sidecar that was taken for dead may still report its result.
func (db *DB) Finish(ctx context.Context, a delivery.Attempt, state delivery.State, nextAt time.Time) error {
	if a.N < 1 {
		return fmt.Errorf("postgres: finish job %d: attempts count from 1, not %d", a.JobID, a.N)
	}
	e, err := encodeAttempt(a, db.ascii)
	if err != nil {
		return fmt.Errorf("postgres: finish job %d: %w", a.JobID, err)
	}
	o := &finishOp{Op: batch.NewOp(len(a.ResponseBody) + 2*delivery.RecordLimit), a: e, state: state}
	if state == delivery.Pending {
		if nextAt.IsZero() {
			nextAt = time.UnixMicro(0)
		}
		o.due = at(nextAt)
	}
	return db.finishes.do(ctx, "finish", o)
}

// finishAll commits a group of Finishes. If a job is in it twice, the second
// attempt, or the repetition, gets a later transaction.
func (db *DB) finishAll(ctx context.Context, ops []*finishOp, errs []error, _ bool) error {
	index := make([]int, len(ops))
	for i := range ops {
		index[i] = i
	}
	for len(index) > 0 {
		var now, later []int
		at := make(map[int64]int, len(index)) // by job
		for _, i := range index {
			id := ops[i].a.JobID
			if _, twice := at[id]; twice {
				later = append(later, i)
				continue
			}
			at[id] = i
			now = append(now, i)
		}
		if err := db.finishEach(ctx, ops, now, at, errs); err != nil {
			return err
		}
		index = later
	}
	return nil
}

// finishEach sends all its statements at once; they are one transaction, which
// ends with the last of them.
func (db *DB) finishEach(ctx context.Context, ops []*finishOp, now []int, at map[int64]int, errs []error) error {
	var c attemptColumnsOf
	var final []int64 // of those that others of an entity may wait for
	for _, i := range now {
		c.add(&ops[i].a, ops[i].state, ops[i].due)
		if a := &ops[i].a; ops[i].state != delivery.Pending && db.held.ordered(a.JobID, a.DeliveryID) {
			final = append(final, a.JobID)
		}
	}
	err := db.send(ctx, byKey, func(b *pgx.Batch) {
		b.Queue(lockRecordsOfJobs, c.job)
		b.Queue(finishJobs, db.args(c.args())...).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var id int64
				var found, recorded bool
				var state string
				var attempts int
				if err := rows.Scan(&id, &found, &recorded, &state, &attempts); err != nil {
					return err
				}
				i := at[id]
				errs[i] = nil
				switch n := ops[i].a.N; {
				case !found:
					errs[i] = fmt.Errorf("%w: job %d of delivery %q at %q", store.ErrNotFound, id, ops[i].a.DeliveryID, ops[i].a.Target)
				case !recorded && (state != string(delivery.Pending) || n <= attempts):
					errs[i] = fmt.Errorf("%w: job %d is %s after %d attempts, this is attempt %d", store.ErrStale, id, state, attempts, n)
				}
			}
			return rows.Err()
		})
		if len(final) > 0 {
			b.Queue(pullNext, final, time.Now())
		}
	})
	if err != nil {
		return err
	}
	for _, i := range now {
		a := &ops[i].a
		if ops[i].state == delivery.Pending || slices.Contains(final, a.JobID) {
			db.held.changed(a.Target)
		}
		db.held.forget(a.JobID, a.DeliveryID, a.Target, a.N-1)
	}
	return nil
}

// attemptColumnsOf turns attempts into the lists that unnest takes.
type attemptColumnsOf struct {
	job                          []int64
	n, status                    []int
	state, outcome, url, failure []string
	delivery, target             []string
	due, started, finished       []*time.Time
	retryAfter, bytes            []int64
	request, response, codes     []*string
	body                         [][]byte
}

func (c *attemptColumnsOf) add(a *encodedAttempt, state delivery.State, due *time.Time) {
	text := wrapper(a.ascii)
	c.job, c.n, c.status = append(c.job, a.JobID), append(c.n, a.N), append(c.status, a.ResponseStatus)
	c.state, c.outcome = append(c.state, string(state)), append(c.outcome, string(a.Outcome))
	c.url, c.failure = append(c.url, text(a.RequestURL)), append(c.failure, text(a.Error))
	c.due, c.started, c.finished = append(c.due, due), append(c.started, at(a.StartedAt)), append(c.finished, at(a.FinishedAt))
	c.retryAfter, c.bytes = append(c.retryAfter, a.RetryAfter.Microseconds()), append(c.bytes, a.bytes())
	c.request, c.response, c.codes = append(c.request, null(a.Request)), append(c.response, null(a.Response)), append(c.codes, null(a.Codes))
	c.body = append(c.body, a.ResponseBody)
	c.delivery, c.target = append(c.delivery, wrap(a.DeliveryID)), append(c.target, a.Target)
}

func (c *attemptColumnsOf) args() []any {
	return []any{c.job, c.n, c.state, c.due, c.started, c.finished, c.outcome, c.retryAfter, c.url, c.request,
		c.status, c.response, c.body, c.codes, c.failure, c.delivery, c.target, c.bytes}
}
