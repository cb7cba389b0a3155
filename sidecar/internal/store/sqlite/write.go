package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

const (
	insertEvent = `
INSERT INTO events (key, delivery_id, id, type, occurred_at, received_at, method, path,
	remote_addr, key_label, signed_at, payload_off, payload_len, header, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET duplicates = duplicates + 1
RETURNING seq, delivery_id, duplicates > 0`

	insertJob = `
INSERT INTO jobs (event_seq, target, state, next_at) VALUES (?, ?, 'pending', ?)
ON CONFLICT (event_seq, target) DO NOTHING`

	insertAttempt = `
INSERT INTO attempts (job_id, n, started_at, finished_at, outcome, retry_after, request_url,
	request_header, response_status, response_header, response_body, error_codes, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	selectJob = `
SELECT event_seq, state, attempts, EXISTS (SELECT 1 FROM attempts WHERE job_id = id AND n = ?2)
FROM jobs WHERE id = ?1`

	updateJob = `UPDATE jobs SET state = ?2, attempts = ?3, next_at = ?4 WHERE id = ?1`

	// The record sums up the event's jobs as they are after updateJob.
	upsertRecord = `
INSERT INTO records (seq, type, status, started_at, finished_at)
SELECT ?1, (SELECT type FROM events WHERE seq = ?1),
	CASE WHEN sum(state = 'pending') > 0 THEN NULL
	     WHEN sum(state = 'dead') > 0 THEN 'failed'
	     ELSE 'delivered' END,
	?2, ?3
FROM jobs WHERE event_seq = ?1
ON CONFLICT (seq) DO UPDATE SET
	status = excluded.status,
	started_at = min(ifnull(started_at, excluded.started_at), ifnull(excluded.started_at, started_at)),
	finished_at = max(ifnull(finished_at, excluded.finished_at), ifnull(excluded.finished_at, finished_at))`

	upsertRoute = `
INSERT INTO routes (target, patterns) VALUES (?, ?)
ON CONFLICT (target) DO UPDATE SET patterns = excluded.patterns`
)

// Accept implements [store.Store]. A repetition after an error that was only
// reported, but whose commit landed, counts as a duplicate.
func (db *DB) Accept(ctx context.Context, e *store.Event, targets []string) (store.Accepted, error) {
	deliveryID := e.DeliveryID
	if deliveryID == "" {
		// Version 7 begins with the time, which keeps its index compact.
		id, err := uuid.NewV7()
		if err != nil {
			return store.Accepted{}, fmt.Errorf("sqlite: accept: %w", err)
		}
		deliveryID = id.String()
	}
	header, err := encodePairs(e.Header)
	if err != nil {
		return store.Accepted{}, fmt.Errorf("sqlite: accept: %w", err)
	}
	body := e.Body
	if body == nil {
		body = []byte{}
	}
	args := []any{
		e.Key, deliveryID, e.ID, e.Type, e.OccurredAt, micros(e.ReceivedAt), e.Method, e.Path,
		e.RemoteAddr, e.KeyLabel, micros(e.SignedAt), e.PayloadOff, e.PayloadLen, header, body,
	}
	dueAt := dueAtOnce(e.ReceivedAt)

	var got store.Accepted
	err = db.write(ctx, "accept", len(body)+len(header.String)+512, func(w *writer) error {
		err := w.insertEvent.QueryRow(args...).Scan(&got.Seq, &got.DeliveryID, &got.Duplicate)
		if err != nil || got.Duplicate {
			return err
		}
		for _, target := range targets {
			if _, err := w.insertJob.Exec(got.Seq, target, dueAt); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return store.Accepted{}, err
	}
	e.Seq = got.Seq
	if e.DeliveryID == "" {
		e.DeliveryID = got.DeliveryID
	}
	return got, nil
}

// dueAtOnce is when a job that should run now is due. It is not simply zero:
// fresh work takes its turn behind retries that have been due for longer.
func dueAtOnce(receivedAt time.Time) int64 {
	now := time.Now()
	if receivedAt.IsZero() || receivedAt.After(now) {
		receivedAt = now
	}
	return receivedAt.UnixMicro()
}

// Finish implements [store.Store].
func (db *DB) Finish(ctx context.Context, a store.Attempt, state store.State, nextAt time.Time) error {
	if a.N < 1 {
		return fmt.Errorf("sqlite: finish job %d: attempts count from 1, not %d", a.JobID, a.N)
	}
	row, err := encodeAttempt(a)
	if err != nil {
		return fmt.Errorf("sqlite: finish job %d: %w", a.JobID, err)
	}
	var due sql.NullInt64
	if state == store.Pending {
		due = sql.NullInt64{Int64: nextAt.UnixMicro(), Valid: true}
	}
	size := len(a.ResponseBody) + 2*store.RecordLimit
	err = db.write(ctx, "finish", size, func(w *writer) error {
		return w.finish(a, row, state, due)
	})
	if err != nil {
		return err
	}
	db.unclaim(a.JobID, a.N-1)
	return nil
}

// finish moves a job by one attempt. The attempt's row says whether it has
// been recorded before: then a repetition changes nothing.
func (w *writer) finish(a store.Attempt, row []any, state store.State, due sql.NullInt64) error {
	var (
		seq      int64
		have     string
		attempts int
		recorded bool
	)
	err := w.job.QueryRow(a.JobID, a.N).Scan(&seq, &have, &attempts, &recorded)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%w: job %d", store.ErrNotFound, a.JobID)
	case err != nil || recorded:
		return err
	case have != string(store.Pending) || a.N != attempts+1:
		return fmt.Errorf("job %d is %s after %d attempts: attempt %d cannot follow", a.JobID, have, attempts, a.N)
	}
	if _, err := w.insertAttempt.Exec(row...); err != nil {
		return err
	}
	if _, err := w.updateJob.Exec(a.JobID, string(state), a.N, due); err != nil {
		return err
	}
	_, err = w.upsertRecord.Exec(seq, micros(a.StartedAt), micros(a.FinishedAt))
	return err
}

// SaveRoute implements [store.Store].
func (db *DB) SaveRoute(ctx context.Context, r store.Route) error {
	patterns, err := json.Marshal(r.Patterns)
	if err != nil {
		return fmt.Errorf("sqlite: save route: %w", err)
	}
	return db.write(ctx, "save route", len(patterns), func(w *writer) error {
		_, err := w.saveRoute.Exec(r.Target, string(patterns))
		return err
	})
}

// Ping commits a row of its own, so that it fails when an Accept would: disk
// full, read-only file system, writer stuck.
func (db *DB) Ping(ctx context.Context) error {
	return db.write(ctx, "ping", 0, func(w *writer) error {
		_, err := w.ping.Exec()
		return err
	})
}
