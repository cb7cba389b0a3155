package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

const replayColumns = `id, created_at, query, targets, rate, state, total, seen, queued, skipped, cursor, last, finished_at`

func scanReplay(rows *sql.Rows) (r store.Replay, err error) {
	var query, targets []byte
	var created, finished sql.NullInt64
	err = rows.Scan(&r.ID, &created, &query, &targets, &r.Rate, &r.State,
		&r.Total, &r.Seen, &r.Queued, &r.Skipped, &r.Cursor, &r.Last, &finished)
	if err != nil {
		return r, err
	}
	r.CreatedAt, r.FinishedAt = fromMicros(created), fromMicros(finished)
	return r, row.DecodeReplay(&r, query, targets)
}

// CreateReplay implements [store.Store].
func (db *DB) CreateReplay(ctx context.Context, r *store.Replay) error {
	made, err := row.NewReplay(r)
	if err != nil {
		return fmt.Errorf("sqlite: create replay: %w", err)
	}
	if have, err := db.Replay(ctx, made.ID); err == nil {
		*r = have
		return nil
	}
	err = db.read(ctx, "create replay", func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT ifnull(max(seq), 0) FROM records`).Scan(&made.Last); err != nil {
			return err
		}
		c, err := choose(ctx, tx, r.Query)
		if err != nil {
			return err
		}
		_, _, err = c.each(ctx, tx, false, false, 0, math.MaxInt64, func(chosen) bool { made.Total++; return true })
		return err
	})
	if err != nil {
		return err
	}
	query, err := json.Marshal(made.Query)
	if err != nil {
		return fmt.Errorf("sqlite: create replay: %w", err)
	}
	err = db.write(ctx, "create replay", len(query), func(w *writer) error {
		_, err := w.conn.ExecContext(context.Background(), `
			INSERT INTO replays (id, created_at, query, targets, rate, state, total, last)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			made.ID, made.CreatedAt.UnixMicro(), string(query), jsonList(append([]string{}, made.Targets...)),
			made.Rate, string(made.State), made.Total, made.Last)
		return err
	})
	if err != nil {
		return err
	}
	*r = made
	return nil
}

// StepReplay implements [store.Store]. A reader looks for the events; the writer only
// takes the step if the replay is still where the reader began.
func (db *DB) StepReplay(ctx context.Context, id string, limit int) (store.Replay, []string, error) {
	for {
		life := db.lives.Load()
		r, err := db.Replay(ctx, id)
		if err != nil || r.State != store.ReplayRunning {
			return r, nil, err
		}
		seqs, last, end, err := db.nextEvents(ctx, r.Query, r.Cursor, r.Last+1, max(limit, 1))
		if err != nil {
			return r, nil, err
		}
		step := &step{replay: r, seqs: seqs, last: last, end: end}
		err = db.submit(ctx, "step replay", &op{
			Op: batch.NewOp(256 * (len(seqs) + 1)),
			run: func(w *writer) error {
				if err := db.sameLife(life); err != nil {
					return err
				}
				return step.take(w)
			},
			committed: func() { db.requeued(step.targets, step.due) },
		})
		if errors.Is(err, errMoved) || errors.Is(err, errRestored) {
			continue
		}
		if err != nil {
			return r, nil, err
		}
		return step.after, step.targets, nil
	}
}

var errMoved = errors.New("the replay has moved on")

// step is one step of a replay.
type step struct {
	replay store.Replay // before it
	seqs   []int64
	last   int64
	end    bool

	after   store.Replay
	targets []string
	due     int64 // when their jobs are
}

func (s *step) take(w *writer) error {
	ctx := context.Background()
	var cursor int64
	var state store.ReplayState
	err := w.conn.QueryRowContext(ctx, `SELECT cursor, state FROM replays WHERE id = ?`, s.replay.ID).Scan(&cursor, &state)
	if err != nil {
		return err
	}
	if cursor != s.replay.Cursor || state != s.replay.State {
		return errMoved
	}
	s.after, s.targets = s.replay, nil
	now := row.Now()
	s.due = now.UnixMicro()
	for _, seq := range s.seqs {
		targets, err := w.requeue(ctx, &s.replay, seq, now.UnixMicro())
		if err != nil {
			return err
		}
		s.after.Seen++
		s.after.Queued += len(targets)
		if len(targets) == 0 {
			s.after.Skipped++
		}
		s.targets = append(s.targets, targets...)
	}
	slices.Sort(s.targets)
	s.targets = slices.Compact(s.targets)
	s.after.Cursor = max(s.last, s.replay.Cursor)
	if s.end {
		s.after.State, s.after.FinishedAt, s.after.Cursor = store.ReplayDone, now, s.after.Last
	}
	_, err = w.conn.ExecContext(ctx, `
		UPDATE replays SET state = ?, seen = ?, queued = ?, skipped = ?, cursor = ?, finished_at = ? WHERE id = ?`,
		string(s.after.State), s.after.Seen, s.after.Queued, s.after.Skipped, s.after.Cursor, micros(s.after.FinishedAt), s.after.ID)
	return err
}

// newRound begins a new round of a job, from the states of
// delivery.From(delivery.MoveReplay).
const newRound = `state = 'pending', was = state, next_at = ?1, round_at = ?1, base = attempts, round = round + 1`

// requeue makes the replay's jobs of one event due, and returns their targets.
func (w *writer) requeue(ctx context.Context, r *store.Replay, seq, now int64) (targets []string, err error) {
	from := jsonList(row.States(delivery.MoveReplay))
	if len(r.Targets) == 0 {
		cond, args := jobCondition(r.Query)
		rows, err := w.conn.QueryContext(ctx, `UPDATE jobs AS j SET `+newRound+`
			WHERE j.event_seq = ?2 AND j.state IN (SELECT value FROM json_each(?3)) AND `+cond+` RETURNING target`,
			append([]any{now, seq, from}, args...)...)
		if err != nil {
			return nil, err
		}
		return collect(rows, scanText)
	}
	for _, target := range r.Targets {
		rows, err := w.conn.QueryContext(ctx, `
			INSERT INTO jobs (event_seq, target, state, next_at, entity, order_at, round_at)
			SELECT seq, ?4, 'pending', ?1, entity, ifnull(order_at, ifnull(received_at, 0)), ?1 FROM events WHERE seq = ?2
			ON CONFLICT (event_seq, target) DO UPDATE SET `+newRound+`
			WHERE state IN (SELECT value FROM json_each(?3)) RETURNING target`, now, seq, from, target)
		if err != nil {
			return nil, err
		}
		names, err := collect(rows, scanText)
		if err != nil {
			return nil, err
		}
		targets = append(targets, names...)
	}
	if len(targets) > 0 {
		_, err = w.updateRecord.Exec(seq, nil, nil)
	}
	return targets, err
}

func scanText(rows *sql.Rows) (text string, err error) {
	err = rows.Scan(&text)
	return text, err
}

// CancelReplay implements [store.Store].
func (db *DB) CancelReplay(ctx context.Context, id string) (store.Replay, error) {
	err := db.write(ctx, "cancel replay", 0, func(w *writer) error {
		_, err := w.conn.ExecContext(context.Background(),
			`UPDATE replays SET state = 'cancelled', finished_at = ? WHERE id = ? AND state = 'running'`, time.Now().UnixMicro(), id)
		return err
	})
	if err != nil {
		return store.Replay{}, err
	}
	return db.Replay(ctx, id)
}

// Replay implements [store.Store].
func (db *DB) Replay(ctx context.Context, id string) (store.Replay, error) {
	all, err := db.replays(ctx, `WHERE id = ?`, id)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: no replay has the id %q", store.ErrNotFound, id)
	}
	if err != nil {
		return store.Replay{}, err
	}
	return all[0], nil
}

// latestReplays is how many replays are listed.
const latestReplays = 100

// Replays implements [store.Store].
func (db *DB) Replays(ctx context.Context, running bool) ([]store.Replay, error) {
	if running {
		return db.replays(ctx, `WHERE state = 'running' ORDER BY n DESC`)
	}
	return db.replays(ctx, `ORDER BY n DESC LIMIT ?`, latestReplays)
}

func (db *DB) replays(ctx context.Context, clause string, args ...any) (list []store.Replay, err error) {
	err = db.read(ctx, "replays", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+replayColumns+` FROM replays `+clause, args...)
		if err != nil {
			return err
		}
		list, err = collect(rows, scanReplay)
		return err
	})
	return list, err
}

// Watch implements [store.Store]. Nobody else changes this store, so wake is never
// called.
func (db *DB) Watch(ctx context.Context, _ func(targets []string)) error {
	<-ctx.Done()
	return nil
}
