package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// recordedBefore locks the record of an existing event.
const recordedBefore = `
SELECT e.seq, e.delivery_id, EXISTS (
	SELECT 1 FROM hookswitch_jobs AS j JOIN hookswitch_attempts AS a ON a.job_id = j.id
	WHERE j.event_seq = e.seq AND j.target = $2 AND a.started_at = $3)
FROM hookswitch_events AS e JOIN hookswitch_records AS r USING (seq) WHERE e.key = $1 FOR UPDATE OF r`

// Record implements [store.Store].
func (db *DB) Record(ctx context.Context, e *delivery.Event, a delivery.Attempt, others []string) (store.Accepted, error) {
	encoded, err := encodeEvent(e, db.ascii)
	if err != nil {
		return store.Accepted{}, fmt.Errorf("postgres: record: %w", err)
	}
	others = slices.DeleteFunc(slices.Clone(others), func(name string) bool { return name == a.Target })
	var got store.Accepted
	err = db.change(ctx, "record", func(tx pgx.Tx) error {
		// First the lock, then the query in a later statement.
		if _, err := tx.Exec(ctx, recordedBefore, encoded.key, a.Target, at(a.StartedAt)); err != nil {
			return err
		}
		var repeated bool
		err := tx.QueryRow(ctx, recordedBefore, encoded.key, a.Target, at(a.StartedAt)).Scan(&got.Seq, &got.DeliveryID, &repeated)
		got.DeliveryID = unwrap(got.DeliveryID)
		if err == nil && repeated {
			got.Duplicate = true
			return nil
		}
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if got, err = insertOne(ctx, tx, e, encoded, others); err != nil {
			return err
		}
		return recordAttempt(ctx, tx, got.Seq, got.DeliveryID, e, encoded, a, db.ascii)
	})
	if err != nil {
		return store.Accepted{}, err
	}
	row.FillIn(e, got)
	db.offered(got, others)
	return got, nil
}

// insertOne is acceptEvents for one event in a transaction.
func insertOne(ctx context.Context, tx pgx.Tx, e *delivery.Event, row eventRow, targets []string) (got store.Accepted, err error) {
	var c eventColumnsOf
	c.add(e, row, 0)
	keys := make([]string, len(targets))
	for i := range keys {
		keys[i] = row.key
	}
	// Without a row from either, another transaction has just stored the event, and
	// removed it.
	for range 2 {
		var key string
		got = store.Accepted{}
		err = tx.QueryRow(ctx, acceptEvents, append(c.args(), keys, append([]string{}, targets...), make([]*string, len(targets)))...).
			Scan(&key, &got.Seq, &got.DeliveryID, nil, nil)
		if errors.Is(err, pgx.ErrNoRows) {
			err = tx.QueryRow(ctx, countDuplicates, []string{row.key}, []string{row.deliveryID}, []int{0}, []bool{false}).
				Scan(&key, &got.Seq, &got.DeliveryID, &got.Duplicate)
			if err == nil { // unless it is just being removed it stays, with its record locked
				err = tx.QueryRow(ctx, `SELECT seq FROM hookswitch_records WHERE seq = $1 FOR UPDATE`, got.Seq).Scan(&got.Seq)
			}
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			break
		}
	}
	got.DeliveryID = unwrap(got.DeliveryID)
	return got, err
}

// recordAttempt adds a finished attempt to the job of its target, which it ends. A
// job that is being delivered right now keeps its state: its own result will
// follow.
func recordAttempt(ctx context.Context, tx pgx.Tx, seq int64, deliveryID string, e *delivery.Event, row eventRow, a delivery.Attempt, ascii bool) error {
	a.DeliveryID = deliveryID
	state := a.Outcome.End()
	order := e.OrderAt
	if order.IsZero() {
		order = row.due
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO hookswitch_jobs (event_seq, target, state, entity, order_at, round_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (event_seq, target) DO NOTHING`, seq, a.Target, string(state), wrap(e.Entity), at(order), row.due)
	if err != nil {
		return err
	}
	err = tx.QueryRow(ctx, `
		UPDATE hookswitch_jobs SET attempts = attempts + 1, base = CASE WHEN state = 'pending' THEN base + 1 ELSE base END,
			state = CASE WHEN state = 'pending' THEN state ELSE $3 END
		WHERE event_seq = $1 AND target = $2 RETURNING id, attempts`, seq, a.Target, string(state)).Scan(&a.JobID, &a.N)
	if err != nil {
		return err
	}
	enc, err := encodeAttempt(a, ascii)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO hookswitch_attempts (job_id, n, started_at, finished_at, outcome, retry_after, request_url, request_header,
			response_status, response_header, response_body, error_codes, error)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		a.JobID, a.N, at(a.StartedAt), at(a.FinishedAt), string(a.Outcome), a.RetryAfter.Microseconds(), wrap(a.RequestURL),
		null(enc.Request), a.ResponseStatus, null(enc.Response), a.ResponseBody, null(enc.Codes), wrap(a.Error))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		UPDATE hookswitch_records AS r SET status = `+statusOf+`, handled = true, bytes = r.bytes + $2,
			started_at = least(r.started_at, $3), finished_at = greatest(r.finished_at, $4)
		WHERE r.seq = $1`, seq, enc.bytes(), at(a.StartedAt), at(a.FinishedAt))
	return err
}

// SaveRoute implements [store.Store].
func (db *DB) SaveRoute(ctx context.Context, r store.Route) error {
	patterns, err := json.Marshal(r.Patterns)
	if err != nil {
		return fmt.Errorf("postgres: save route: %w", err)
	}
	return db.change(ctx, "save route", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO hookswitch_routes (target, patterns) VALUES ($1, $2)
			ON CONFLICT (target) DO UPDATE SET patterns = excluded.patterns`, r.Target, string(patterns))
		return err
	})
}

// Routes implements [store.Store].
func (db *DB) Routes(ctx context.Context) (routes []store.Route, err error) {
	err = db.read(ctx, "routes", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT target, patterns FROM hookswitch_routes ORDER BY target COLLATE "C"`)
		if err != nil {
			return err
		}
		routes, err = collect(rows, func(rows pgx.Rows) (r store.Route, err error) {
			var patterns string
			if err := rows.Scan(&r.Target, &patterns); err != nil {
				return r, err
			}
			return r, row.DecodeRoute(&r, []byte(patterns))
		})
		return err
	})
	return routes, err
}
