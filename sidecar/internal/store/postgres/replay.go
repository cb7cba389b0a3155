package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

const replayColumns = `id, created_at, query, targets, rate, state, total, seen, queued, skipped, cursor, last, finished_at`

func scanReplay(rows pgx.Rows) (r store.Replay, err error) {
	var query, targets string
	var created, finished *time.Time
	err = rows.Scan(&r.ID, &created, &query, &targets, &r.Rate, &r.State,
		&r.Total, &r.Seen, &r.Queued, &r.Skipped, &r.Cursor, &r.Last, &finished)
	if err != nil {
		return r, err
	}
	r.CreatedAt, r.FinishedAt = fromAt(created), fromAt(finished)
	return r, row.DecodeReplay(&r, []byte(unwrap(query)), []byte(targets))
}

// CreateReplay implements [store.Store].
func (db *DB) CreateReplay(ctx context.Context, r *store.Replay) error {
	fresh, err := row.NewReplay(r)
	if err != nil {
		return fmt.Errorf("postgres: create replay: %w", err)
	}
	var made store.Replay
	err = db.change(ctx, "create replay", func(tx pgx.Tx) error {
		have, err := replays(ctx, tx, `WHERE id = $1`, fresh.ID)
		if err != nil {
			return err
		}
		if len(have) > 0 {
			made = have[0]
			return nil
		}
		made = fresh
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM hookswitch_records`).Scan(&made.Last); err != nil {
			return err
		}
		if err := count(ctx, tx, r.Query, func(string, time.Time) { made.Total++ }); err != nil {
			return err
		}
		query, err := json.Marshal(made.Query)
		if err != nil {
			return err
		}
		targets, err := json.Marshal(append([]string{}, made.Targets...))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO hookswitch_replays (id, created_at, query, targets, rate, state, total, last)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
			made.ID, made.CreatedAt, wrap(string(query)), string(targets), made.Rate, string(made.State), made.Total, made.Last)
		return err
	})
	if err != nil {
		return err
	}
	*r = made
	return nil
}

// takeReplay locks a replay, taking it over from a sidecar that is gone.
const takeReplay = `
UPDATE hookswitch_replays SET owner = $2
WHERE id = $1 AND state = 'running' AND (owner IS NULL OR owner = $2
	OR owner NOT IN (SELECT o.id FROM hookswitch_owners AS o WHERE o.expires_at > clock_timestamp()))`

// StepReplay implements [store.Store]. A replay belongs to the sidecar that
// took its latest step, as long as that one is alive.
func (db *DB) StepReplay(ctx context.Context, id string, limit int) (after store.Replay, targets []string, err error) {
	var touched []string // also by a commit that has landed unreported
	err = db.change(ctx, "step replay", func(tx pgx.Tx) error {
		targets = nil
		tag, err := tx.Exec(ctx, takeReplay, id, db.owner)
		if err != nil {
			return err
		}
		list, err := replays(ctx, tx, `WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return noReplay(id)
		}
		if after = list[0]; after.State != store.ReplayRunning {
			return nil
		}
		if tag.RowsAffected() == 0 {
			return store.ErrElsewhere
		}
		targets, err = step(ctx, tx, &after, max(limit, 1))
		touched = append(touched, targets...)
		return err
	})
	db.held.changed(touched...)
	db.notices.add(touched)
	if err != nil {
		return after, nil, err
	}
	return after, targets, nil
}

// step takes a replay through its next events.
func step(ctx context.Context, tx pgx.Tx, r *store.Replay, limit int) ([]string, error) {
	rows, last, end, err := nextRows(ctx, tx, r.Query, r.Cursor, r.Last+1, limit)
	if err != nil {
		return nil, err
	}
	at := row.Now()
	queued, targets, err := requeue(ctx, tx, r, seqs(rows), at)
	if err != nil {
		return nil, err
	}
	for _, event := range rows {
		r.Seen++
		r.Queued += queued[event.seq]
		if queued[event.seq] == 0 {
			r.Skipped++
		}
	}
	r.Cursor = max(last, r.Cursor)
	if end {
		r.State, r.FinishedAt, r.Cursor = store.ReplayDone, at, r.Last
	}
	var finished *time.Time
	if end {
		finished = &at
	}
	_, err = tx.Exec(ctx, `
		UPDATE hookswitch_replays SET state = $2, seen = $3, queued = $4, skipped = $5, cursor = $6, finished_at = $7 WHERE id = $1`,
		r.ID, string(r.State), r.Seen, r.Queued, r.Skipped, r.Cursor, finished)
	return targets, err
}

// A new round of a job begins from the states of delivery.From(delivery.MoveReplay).
const (
	requeueJobs = `UPDATE hookswitch_jobs AS j
		SET state = 'pending', was = j.state, next_at = $1, round_at = $1, base = j.attempts, round = j.round + 1, owner = NULL
		WHERE j.event_seq = ANY($2) AND j.state = ANY($3)`

	requeueTargets = `
INSERT INTO hookswitch_jobs AS j (event_seq, target, state, next_at, entity, order_at, round_at)
SELECT e.seq, t.target, 'pending', $1, e.entity, coalesce(e.order_at, e.received_at, 'epoch'), $1
FROM hookswitch_events AS e CROSS JOIN unnest($4::text[]) AS t (target)
WHERE e.seq = ANY($2) ORDER BY e.seq
ON CONFLICT (event_seq, target) DO UPDATE
	SET state = 'pending', was = j.state, next_at = $1, round_at = $1, base = j.attempts, round = j.round + 1, owner = NULL
	WHERE j.state = ANY($3)
RETURNING j.event_seq, j.target`
)

// requeue makes the replay's jobs of some events due. It returns how many per
// event, and all their targets.
func requeue(ctx context.Context, tx pgx.Tx, r *store.Replay, seqs []int64, at time.Time) (queued map[int64]int, targets []string, err error) {
	queued = make(map[int64]int)
	if len(seqs) == 0 {
		return queued, nil, nil
	}
	if err := lockRecords(ctx, tx, seqs); err != nil {
		return nil, nil, err
	}
	p := parameters{at, seqs, row.States(delivery.MoveReplay)}
	text := requeueTargets
	if len(r.Targets) == 0 {
		text = requeueJobs + ` AND ` + jobCondition(r.Query, &p) + ` RETURNING j.event_seq, j.target`
	} else {
		p.add(r.Targets)
	}
	rows, err := tx.Query(ctx, text, p...)
	if err != nil {
		return nil, nil, err
	}
	targets, err = collect(rows, func(rows pgx.Rows) (target string, err error) {
		var seq int64
		err = rows.Scan(&seq, &target)
		queued[seq]++
		return target, err
	})
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(targets)
	targets = slices.Compact(targets)
	_, err = tx.Exec(ctx, `UPDATE hookswitch_records AS r SET handled = true, status = `+statusOf+`
		WHERE r.seq = ANY($1) AND EXISTS (SELECT 1 FROM hookswitch_jobs AS j WHERE j.event_seq = r.seq)`, seqs)
	return queued, targets, err
}

// CancelReplay implements [store.Store].
func (db *DB) CancelReplay(ctx context.Context, id string) (store.Replay, error) {
	err := db.change(ctx, "cancel replay", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE hookswitch_replays SET state = 'cancelled', finished_at = $2 WHERE id = $1 AND state = 'running'`, id, row.Now())
		return err
	})
	if err != nil {
		return store.Replay{}, err
	}
	return db.Replay(ctx, id)
}

func noReplay(id string) error {
	return fmt.Errorf("%w: no replay has the id %q", store.ErrNotFound, id)
}

// Replay implements [store.Store].
func (db *DB) Replay(ctx context.Context, id string) (r store.Replay, err error) {
	err = db.read(ctx, "replay", func(tx pgx.Tx) error {
		all, err := replays(ctx, tx, `WHERE id = $1`, wrap(id))
		if err == nil && len(all) == 0 {
			err = noReplay(id)
		}
		if err == nil {
			r = all[0]
		}
		return err
	})
	return r, err
}

// latestReplays is how many replays are listed.
const latestReplays = 100

// Replays implements [store.Store].
func (db *DB) Replays(ctx context.Context, running bool) (list []store.Replay, err error) {
	err = db.read(ctx, "replays", func(tx pgx.Tx) error {
		if running {
			list, err = replays(ctx, tx, `WHERE state = 'running' ORDER BY n DESC`)
			return err
		}
		list, err = replays(ctx, tx, `ORDER BY n DESC LIMIT $1`, latestReplays)
		return err
	})
	return list, err
}

func replays(ctx context.Context, tx pgx.Tx, clause string, args ...any) ([]store.Replay, error) {
	rows, err := tx.Query(ctx, `SELECT `+replayColumns+` FROM hookswitch_replays `+clause, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scanReplay)
}
