package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

const (
	insertEvent = `
INSERT INTO events (key, delivery_id, id, type, occurred_at, received_at, method, path,
	remote_addr, key_label, signed_at, payload_off, payload_len, header, body, entity, order_at, traceparent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET duplicates = duplicates + 1
RETURNING seq, delivery_id, duplicates > 0`

	insertRecord = `INSERT INTO records (seq, type, received_at, handled) VALUES (?, ?, ?, ?)`

	insertJob = `
INSERT INTO jobs (event_seq, target, state, next_at, entity, order_at, round_at)
VALUES (?, ?, 'pending', ?, ?, ?, ?)
ON CONFLICT (event_seq, target) DO NOTHING`

	insertAttempt = `
INSERT INTO attempts (job_id, n, started_at, finished_at, outcome, retry_after, request_url,
	request_header, response_status, response_header, response_body, error_codes, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	// The delivery and the target name the job; the number only locates it.
	selectJob = `
SELECT event_seq, entity, state, attempts, EXISTS (SELECT 1 FROM attempts WHERE job_id = id AND n = ?2)
FROM jobs WHERE id = ?1 AND target = ?3 AND (SELECT delivery_id FROM events WHERE seq = event_seq) = ?4`

	updateJob = `UPDATE jobs SET state = ?2, attempts = ?3, next_at = ?4, base = base + ?5 WHERE id = ?1`

	// The first pending job of an entity becomes due, unless it waits for a
	// retry of its own.
	pullNext = `
UPDATE jobs SET next_at = min(next_at, ?3) WHERE id = (
	SELECT id FROM jobs WHERE target = ?1 AND entity = ?2 AND entity <> '' AND state = 'pending'
	ORDER BY order_at, event_seq LIMIT 1
) AND attempts = base`

	laneDue = `
SELECT next_at FROM jobs WHERE target = ?1 AND entity = ?2 AND entity <> '' AND state = 'pending'
ORDER BY order_at, event_seq LIMIT 1`

	// The record sums up the event's jobs as they are now; see
	// store.Delivery for what a replay does to that.
	updateRecord = `
UPDATE records SET
	status = (SELECT CASE
		WHEN sum(state = 'pending' AND round = 0) > 0 THEN NULL
		WHEN sum(state <> 'done' AND NOT (state = 'pending' AND was = 'done')) > 0 THEN 'failed'
		ELSE 'delivered' END
		FROM jobs WHERE event_seq = ?1),
	handled = 1,
	started_at = min(ifnull(started_at, ?2), ifnull(?2, started_at)),
	finished_at = max(ifnull(finished_at, ?3), ifnull(?3, finished_at))
WHERE seq = ?1`

	upsertRoute = `
INSERT INTO routes (target, patterns) VALUES (?, ?)
ON CONFLICT (target) DO UPDATE SET patterns = excluded.patterns`
)

// newEvent is an event about to be stored.
type newEvent struct {
	args     []any          // of insertEvent, eventArgs many
	behind   bool           // it may be behind, see there
	e        delivery.Event // a copy, as reading it from the database would return it
	jobs     []newJob       // made by insert
	again    []int64        // the jobs of an event of which this is a duplicate
	count    int            // of the duplicates of that event
	due      int64
	received sql.NullInt64
	order    int64
	size     int

	deliveryID string
}

// So many arguments insertEvent and insertAttempt have.
const (
	eventArgs   = 18
	attemptArgs = 13
)

func encodeEvent(e *delivery.Event) (*newEvent, error) {
	deliveryID := e.DeliveryID
	if deliveryID == "" {
		id, err := row.NewID()
		if err != nil {
			return nil, err
		}
		deliveryID = id
	}
	header, err := row.EncodePairs(e.Header, utf8.ValidString)
	if err != nil {
		return nil, err
	}
	body := e.Body
	if body == nil {
		body = []byte{}
	}
	n := &newEvent{e: *e, deliveryID: deliveryID, behind: e.Entity == "" && e.OrderAt.IsZero() && e.DeliveryID == "", due: row.DueAtOnce(e.ReceivedAt).UnixMicro(), received: micros(e.ReceivedAt), size: len(body) + len(header) + 512}
	n.order = n.received.Int64
	if !e.OrderAt.IsZero() {
		n.order = e.OrderAt.UnixMicro()
	}
	n.args = []any{
		e.Key, deliveryID, e.ID, e.Type, e.OccurredAt, n.received, e.Method, e.Path,
		e.RemoteAddr, e.KeyLabel, micros(e.SignedAt), e.PayloadOff, e.PayloadLen, null(header), body,
		e.Entity, micros(e.OrderAt), e.Traceparent,
	}
	n.e.ReceivedAt, n.e.SignedAt, n.e.OrderAt = fromMicros(n.received), fromMicros(micros(e.SignedAt)), fromMicros(micros(e.OrderAt))
	n.e.Body = body
	return n, nil
}

// insert stores the event with a job for each target, or counts the duplicate.
func (n *newEvent) insert(w *writer, targets []string) (got store.Accepted, err error) {
	n.jobs = nil
	err = w.insertEvent.QueryRow(n.args...).Scan(&got.Seq, &got.DeliveryID, &got.Duplicate)
	if err == nil && got.Duplicate {
		err = n.receivedAgain(w, got.Seq)
	}
	if err != nil || got.Duplicate {
		return got, err
	}
	if _, err := w.insertRecord.Exec(got.Seq, n.e.Type, n.received.Int64, len(targets) > 0); err != nil {
		return got, err
	}
	w.latest = latest{got.Seq, got.DeliveryID}
	n.e.Seq, n.e.DeliveryID = got.Seq, got.DeliveryID
	for _, target := range targets {
		if err := n.insertJob(w, target); err != nil {
			return got, err
		}
	}
	return got, nil
}

// insertJob makes a job. One behind another of its entity is put off at once.
func (n *newEvent) insertJob(w *writer, target string) error {
	res, err := w.insertJob.Exec(n.e.Seq, target, n.due, n.e.Entity, n.order, n.due)
	if err != nil {
		return err
	}
	if made, err := res.RowsAffected(); err != nil || made == 0 {
		return err // the target was named twice
	}
	j := newJob{target: target, due: n.due, first: true}
	if j.id, err = res.LastInsertId(); err != nil {
		return err
	}
	if n.e.Entity != "" {
		until := time.Now().Add(putOffFor).UnixMicro()
		res, err := w.putOff.Exec(j.id, until)
		if err != nil {
			return err
		}
		behind, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if behind > 0 {
			j.first, j.due = false, until
		}
	}
	n.jobs = append(n.jobs, j)
	return nil
}

// receivedAgain reads what handOver needs of an event in the tables that was received
// again.
func (n *newEvent) receivedAgain(w *writer, seq int64) error {
	rows, err := w.conn.QueryContext(context.Background(), `
		SELECT jobs.id, duplicates FROM events JOIN jobs ON event_seq = seq WHERE seq = ?`, seq)
	if err != nil {
		return err
	}
	n.again, err = collect(rows, func(rows *sql.Rows) (id int64, err error) {
		err = rows.Scan(&id, &n.count)
		return id, err
	})
	return err
}

// handOver is for the writer, after the commit.
func (n *newEvent) handOver(db *DB) {
	db.handOver(&n.e, n.jobs, n.size)
	db.receivedAgain(n.again, n.count)
}

// Accept implements [store.Store]. A repetition after a commit that landed but was
// reported as failed counts as a duplicate.
func (db *DB) Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error) {
	n, err := encodeEvent(e)
	if err != nil {
		return store.Accepted{}, fmt.Errorf("sqlite: accept: %w", err)
	}
	var got store.Accepted
	err = db.submit(ctx, "accept", &op{
		Op: batch.NewOp(n.size), purpose: forEvent, jobs: len(targets), behind: n.behind,
		run: func(w *writer) (err error) {
			if n.behind {
				got, err = n.insertBehind(w, targets)
			} else {
				got, err = n.insert(w, targets)
			}
			return err
		},
		committed: func() { n.handOver(db) },
	})
	if err != nil {
		return store.Accepted{}, err
	}
	row.FillIn(e, got)
	return got, nil
}

// Record implements [store.Store].
func (db *DB) Record(ctx context.Context, e *delivery.Event, a delivery.Attempt, others []string) (store.Accepted, error) {
	n, err := encodeEvent(e)
	if err != nil {
		return store.Accepted{}, fmt.Errorf("sqlite: record: %w", err)
	}
	others = slices.DeleteFunc(slices.Clone(others), func(name string) bool { return name == a.Target })
	var got store.Accepted
	var job int64
	err = db.add(ctx, "record", n.size+len(a.ResponseBody)+2*delivery.RecordLimit, len(others), func(w *writer) error {
		var repeated bool
		// Before the event is counted: a repetition changes nothing.
		err := w.conn.QueryRowContext(context.Background(), recordedBefore, e.Key, a.Target, micros(a.StartedAt)).
			Scan(&got.Seq, &got.DeliveryID, &repeated)
		if err == nil && repeated {
			got.Duplicate = true
			return nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if got, err = n.insert(w, others); err != nil {
			return err
		}
		job, err = w.record(got.Seq, n, a)
		return err
	}, func() {
		n.handOver(db)
		db.leave(job)
	})
	if err != nil {
		return store.Accepted{}, err
	}
	row.FillIn(e, got)
	return got, nil
}

const recordedBefore = `
SELECT events.seq, events.delivery_id, EXISTS (
	SELECT 1 FROM jobs JOIN attempts ON attempts.job_id = jobs.id
	WHERE jobs.event_seq = events.seq AND jobs.target = ?2 AND attempts.started_at = ?3)
FROM events WHERE key = ?1`

// record adds a finished attempt to the job of its target, which it ends, and returns
// the job. One that is being delivered right now keeps its state: its own result will
// follow.
func (w *writer) record(seq int64, n *newEvent, a delivery.Attempt) (job int64, err error) {
	ctx := context.Background()
	state := a.Outcome.End()
	_, err = w.conn.ExecContext(ctx, `
		INSERT INTO jobs (event_seq, target, state, entity, order_at, round_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (event_seq, target) DO NOTHING`, seq, a.Target, string(state), n.e.Entity, n.order, n.due)
	if err != nil {
		return 0, err
	}
	err = w.conn.QueryRowContext(ctx, `
		UPDATE jobs SET attempts = attempts + 1, base = iif(state = 'pending', base + 1, base),
			state = iif(state = 'pending', state, ?3)
		WHERE event_seq = ?1 AND target = ?2 RETURNING id, attempts`, seq, a.Target, string(state)).Scan(&a.JobID, &a.N)
	if err != nil {
		return 0, err
	}
	args, err := encodeAttempt(a)
	if err != nil {
		return 0, err
	}
	if _, err := w.insertAttempt.Exec(args...); err != nil {
		return 0, err
	}
	_, err = w.updateRecord.Exec(seq, micros(a.StartedAt), micros(a.FinishedAt))
	return a.JobID, err
}

// Finish implements [store.Store].
func (db *DB) Finish(ctx context.Context, a delivery.Attempt, state delivery.State, nextAt time.Time) error {
	if a.N < 1 {
		return fmt.Errorf("sqlite: finish job %d: attempts count from 1, not %d", a.JobID, a.N)
	}
	args, err := encodeAttempt(a)
	if err != nil {
		return fmt.Errorf("sqlite: finish job %d: %w", a.JobID, err)
	}
	var due sql.NullInt64
	if state == delivery.Pending {
		due = sql.NullInt64{Int64: nextAt.UnixMicro(), Valid: true}
	}
	r := result{
		jobID: a.JobID, n: a.N, target: a.Target, delivery: a.DeliveryID, state: state, due: due,
		started: micros(a.StartedAt), finished: micros(a.FinishedAt), args: args,
	}
	if a.Outcome == delivery.OutcomeLost {
		r.lost = 1 // it is outside the schedule
	}
	size := len(a.ResponseBody) + 2*delivery.RecordLimit
	next := int64(unknown)
	err = db.submit(ctx, "finish", &op{
		Op: batch.NewOp(size), behind: true,
		run: func(w *writer) (err error) {
			if j := w.behind.job(a.JobID); j != nil && j.target == a.Target && j.event.deliveryID == a.DeliveryID {
				next, err = w.finishBehind(j, r)
			} else {
				next, err = w.finish(r)
			}
			return err
		},
		committed: func() { db.unclaim(a.JobID, jobName{a.DeliveryID, a.Target}, a.N-1, next) },
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrStale) {
		db.unclaim(a.JobID, jobName{a.DeliveryID, a.Target}, a.N-1, unknown)
	}
	return err
}

// finish moves a job by one attempt. The row of an attempt shows whether it was
// recorded before: then a repetition changes nothing. It returns when the job, or the
// next one of its entity, is due.
func (w *writer) finish(r result) (next int64, err error) {
	var (
		seq          int64
		entity, have string
		attempts     int
		recorded     bool
	)
	err = w.job.QueryRow(r.jobID, r.n, r.target, r.delivery).Scan(&seq, &entity, &have, &attempts, &recorded)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return unknown, fmt.Errorf("%w: job %d of delivery %q at %q", store.ErrNotFound, r.jobID, r.delivery, r.target)
	case err != nil || recorded:
		return unknown, err
	case have != string(delivery.Pending) || r.n <= attempts:
		return unknown, stale(r, have, attempts)
	}
	if _, err := w.insertAttempt.Exec(r.args...); err != nil {
		return unknown, err
	}
	if _, err := w.updateJob.Exec(r.jobID, string(r.state), r.n, r.due, r.lost); err != nil {
		return unknown, err
	}
	next = never
	if r.due.Valid {
		next = r.due.Int64
	}
	if entity != "" {
		if next, err = w.nextOf(r.target, entity, r.state); err != nil {
			return unknown, err
		}
	}
	_, err = w.updateRecord.Exec(seq, r.started, r.finished)
	return next, err
}

// nextOf makes the first waiting job of an entity due, unless it is the one that has
// just failed, and returns when it is.
func (w *writer) nextOf(target, entity string, ended delivery.State) (int64, error) {
	if ended != delivery.Pending {
		if _, err := w.pullNext.Exec(target, entity, time.Now().UnixMicro()); err != nil {
			return unknown, err
		}
	}
	var due sql.NullInt64
	err := w.laneDue.QueryRow(target, entity).Scan(&due)
	if errors.Is(err, sql.ErrNoRows) {
		return never, nil
	}
	return due.Int64, err
}

// SaveRoute implements [store.Store].
func (db *DB) SaveRoute(ctx context.Context, r store.Route) error {
	patterns, err := json.Marshal(r.Patterns)
	if err != nil {
		return fmt.Errorf("sqlite: save route: %w", err)
	}
	return db.submit(ctx, "save route", &op{Op: batch.NewOp(len(patterns)), behind: true, run: func(w *writer) error {
		_, err := w.saveRoute.Exec(r.Target, string(patterns))
		return err
	}})
}
