package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// Events implements [store.Store].
func (db *DB) Events(ctx context.Context, q store.Query, before int64, limit int) (page store.Page, err error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	limit = max(limit, 1)
	err = db.read(ctx, "events", func(tx *sql.Tx) error {
		c, err := choose(ctx, tx, q)
		if err != nil {
			return err
		}
		var seqs []int64
		last, end, err := c.each(ctx, tx, true, true, 0, before, func(r chosen) bool {
			seqs = append(seqs, r.seq)
			return len(seqs) < limit
		})
		if err != nil {
			return err
		}
		if !end {
			page.Next = last
		}
		page.Deliveries, err = loadDeliveries(ctx, tx, seqs, summary)
		return err
	})
	return page, err
}

// DeadGroups implements [store.Store].
func (db *DB) DeadGroups(ctx context.Context, q store.Query) (groups []store.DeadGroup, err error) {
	q.Status = store.StatusDead
	err = db.read(ctx, "dead letters", func(tx *sql.Tx) error {
		c, err := choose(ctx, tx, q)
		if err != nil {
			return err
		}
		cond, args := jobCondition(q)
		stmt, err := tx.PrepareContext(ctx, `
			SELECT j.target, ifnull(a.error, ''), ifnull(a.error_codes, ''), ifnull(a.response_status, 0)
			FROM jobs AS j LEFT JOIN attempts AS a ON a.job_id = j.id AND a.n = j.attempts
			WHERE j.event_seq = ? AND `+cond)
		if err != nil {
			return err
		}
		defer stmt.Close()
		found := make(row.DeadGroups)
		var failed error
		_, _, err = c.each(ctx, tx, true, false, 0, math.MaxInt64, func(r chosen) bool {
			failed = addDead(ctx, stmt, r, args, found)
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		groups = found.List()
		return err
	})
	return groups, err
}

// addDead counts the dead letters of one event.
func addDead(ctx context.Context, stmt *sql.Stmt, r chosen, args []any, found row.DeadGroups) error {
	rows, err := stmt.QueryContext(ctx, append([]any{r.seq}, args...)...)
	if err != nil {
		return err
	}
	received := fromMicros(sql.NullInt64{Int64: r.received, Valid: r.received != 0})
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		key := store.DeadGroup{EventType: r.kind}
		var codes string
		if err := rows.Scan(&key.Target, &key.Error, &codes, &key.ResponseStatus); err != nil {
			return struct{}{}, err
		}
		found.Add(key, codes, received)
		return struct{}{}, nil
	})
	return err
}

// discardGroup is how many dead letters one commit of Discard moves.
const discardGroup = 500

// Discard implements [store.Store].
func (db *DB) Discard(ctx context.Context, q store.Query) (total int, err error) {
	q.Status = store.StatusDead
	for after := int64(0); ; {
		life := db.lives.Load()
		seqs, last, end, err := db.nextEvents(ctx, q, after, math.MaxInt64, discardGroup)
		if err != nil {
			return total, err
		}
		if len(seqs) > 0 {
			n, err := db.discard(ctx, life, q, seqs)
			total += n
			if errors.Is(err, errRestored) {
				after = 0
				continue
			}
			if err != nil {
				return total, err
			}
		}
		if end {
			return total, nil
		}
		after = last
	}
}

func (db *DB) discard(ctx context.Context, life int64, q store.Query, seqs []int64) (int, error) {
	cond, args := jobCondition(q)
	var moved int64
	err := db.writeOf(ctx, life, "discard", 64*len(seqs), func(w *writer) error {
		res, err := w.conn.ExecContext(context.Background(), `
			UPDATE jobs AS j SET state = 'discarded'
			WHERE j.event_seq IN (SELECT value FROM json_each(?)) AND j.state IN (SELECT value FROM json_each(?)) AND `+cond,
			append([]any{jsonList(seqs), jsonList(row.States(delivery.MoveDiscard))}, args...)...)
		if err == nil {
			moved, err = res.RowsAffected()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(moved), nil
}

// nextEvents returns up to limit events that q selects after one, oldest
// first, the last one it looked at, and whether there are no more.
func (db *DB) nextEvents(ctx context.Context, q store.Query, after, to int64, limit int) (seqs []int64, last int64, end bool, err error) {
	err = db.read(ctx, "select events", func(tx *sql.Tx) error {
		c, err := choose(ctx, tx, q)
		if err != nil {
			return err
		}
		last, end, err = c.each(ctx, tx, false, true, after, to, func(r chosen) bool {
			seqs = append(seqs, r.seq)
			return len(seqs) < limit
		})
		return err
	})
	return seqs, last, end, err
}

// PreviewReplay implements [store.Store].
func (db *DB) PreviewReplay(ctx context.Context, q store.Query) (store.Preview, error) {
	p := store.Preview{Types: make(map[string]int)}
	err := db.read(ctx, "preview replay", func(tx *sql.Tx) error {
		c, err := choose(ctx, tx, q)
		if err != nil {
			return err
		}
		_, _, err = c.each(ctx, tx, false, false, 0, math.MaxInt64, func(r chosen) bool {
			row.Count(&p, r.kind, fromMicros(sql.NullInt64{Int64: r.received, Valid: r.received != 0}))
			return true
		})
		return err
	})
	return p, err
}
