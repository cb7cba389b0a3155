package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
)

const (
	// pruneLook is how many events one Prune checks to find some to remove.
	pruneLook = 5000

	// rowBytes is roughly the size of an event without its body.
	rowBytes = 1000

	// Space is given back in small pieces, each a part of a commit that
	// others may be waiting for, and as long as more than sparePages are
	// free: a few are soon needed again.
	sparePages  = 256
	shrinkPages = 500
)

// victims selects from the oldest on.
const victims = `
SELECT r.seq, r.received_at, (SELECT length(body) FROM events WHERE seq = r.seq),
	EXISTS (SELECT 1 FROM jobs WHERE event_seq = r.seq AND state = 'pending'),
	EXISTS (SELECT 1 FROM jobs WHERE event_seq = r.seq AND state = 'dead')
FROM records AS r WHERE r.seq > ? ORDER BY r.seq LIMIT ?`

// Prune implements [store.Store]. Its calls go through the events from the oldest
// on, one piece each; the one that reaches the end has More unset, unless there is
// space to give back, and the next begins again.
func (db *DB) Prune(ctx context.Context, r store.Retention, limit int) (_ store.Pruned, err error) {
	db.pruneMu.Lock()
	defer db.pruneMu.Unlock()
	defer func() {
		if err != nil {
			db.pruneFrom = 0 // the next one does not begin in the middle
		}
	}()
	if err := db.catchUpPatiently(ctx, "prune"); err != nil {
		return store.Pruned{}, err
	}
	life := db.lives.Load()
	before, err := db.size(ctx)
	if err != nil {
		return store.Pruned{}, err
	}
	excess := db.excess(r, before)
	seqs, last, end, err := db.victims(ctx, r, excess, max(limit, 1))
	if err != nil {
		return store.Pruned{}, err
	}
	after := before
	if len(seqs) > 0 || before.free > sparePages {
		err := db.remove(ctx, life, seqs, shrinkPages)
		if errors.Is(err, errRestored) {
			db.pruneFrom = 0
			return store.Pruned{Bytes: before.used(), More: true}, nil
		}
		if err != nil {
			return store.Pruned{}, err
		}
		if after, err = db.size(ctx); err != nil {
			return store.Pruned{}, err
		}
	}
	db.pruneFrom = last
	if end {
		db.pruneFrom = 0
	}
	// A step that gave nothing back does not ask for another: the file may be
	// unable to shrink.
	shrinks := after.free > sparePages && after.pages < before.pages
	return store.Pruned{
		Events: len(seqs), Bytes: after.used(), Excess: db.excess(r, after),
		More: !end || shrinks || excess > 0 && len(seqs) > 0,
	}, nil
}

// remove commits the removal of events, in smaller pieces if the disk has no room
// for the log.
func (db *DB) remove(ctx context.Context, life int64, seqs []int64, pages int) error {
	some := func(seqs []int64) error {
		return db.submit(ctx, "prune", &op{
			run: func(w *writer) error {
				if err := db.sameLife(life); err != nil {
					return err
				}
				return w.prune(seqs, pages, false)
			},
			Op: batch.NewOp(4096 * (len(seqs) + 1)), purpose: forRemoval,
			behind: true, // it only removes what is in the tables
		})
	}
	for {
		n := len(seqs)
		err := some(seqs)
		for isFull(err) && n > 1 {
			n, pages = n/4+1, 0
			err = some(seqs[:n])
		}
		if seqs = seqs[n:]; err != nil || len(seqs) == 0 {
			return err
		}
	}
}

// Excess implements [store.Store].
func (db *DB) Excess(ctx context.Context, r store.Retention) (int64, error) {
	size, err := db.size(ctx)
	if err != nil {
		return 0, err
	}
	return db.excess(r, size), nil
}

// excess returns by how much the store is larger than allowed, or than its disk
// has room for.
func (db *DB) excess(r store.Retention, size size) int64 {
	if r.MaxBytes <= 0 {
		return 0
	}
	return max(0, size.used()-r.MaxBytes, db.room.short(size))
}

// victims returns the next events to remove, the last one looked at, and
// whether all have been. over is how many bytes are too many.
func (db *DB) victims(ctx context.Context, r store.Retention, over int64, limit int) (seqs []int64, last int64, end bool, err error) {
	last = db.pruneFrom
	err = db.peek(ctx, "prune", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, victims, last, pruneLook)
		if err != nil {
			return err
		}
		defer rows.Close()
		looked := 0
		end = true
		for ; len(seqs) < limit && rows.Next(); looked++ {
			var seq, received, body int64
			var pending, dead bool
			if err := rows.Scan(&seq, &received, &body, &pending, &dead); err != nil {
				return err
			}
			last = seq
			at := time.UnixMicro(received)
			if over <= 0 && r.Young(at) {
				return nil
			}
			switch {
			case pending:
			case dead && at.Before(r.DeadBefore), !dead && (over > 0 || at.Before(r.Before)):
				seqs = append(seqs, seq)
				over -= body + rowBytes
			}
		}
		end = len(seqs) < limit && looked < pruneLook
		return rows.Err()
	})
	return seqs, last, end, err
}

// prune removes events with everything that belongs to them and gives back some
// pages. Events that are due, perhaps again since they were chosen, only go if
// pending is set.
func (w *writer) prune(seqs []int64, pages int, pending bool) error {
	ctx, list := context.Background(), jsonList(append([]int64{}, seqs...))
	for _, text := range []string{
		`CREATE TEMP TABLE IF NOT EXISTS doomed (seq INTEGER PRIMARY KEY)`,
		`DELETE FROM doomed`,
	} {
		if _, err := w.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	_, err := w.conn.ExecContext(ctx, `INSERT INTO doomed SELECT value FROM json_each(?1) AS v
		WHERE ?2 OR NOT EXISTS (SELECT 1 FROM jobs WHERE event_seq = v.value AND state = 'pending')`, list, pending)
	if err != nil {
		return err
	}
	for _, text := range []string{
		`DELETE FROM attempts WHERE job_id IN (SELECT id FROM jobs WHERE event_seq IN (SELECT seq FROM doomed))`,
		`DELETE FROM jobs WHERE event_seq IN (SELECT seq FROM doomed)`,
		`DELETE FROM records WHERE seq IN (SELECT seq FROM doomed)`,
		`DELETE FROM events WHERE seq IN (SELECT seq FROM doomed)`,
	} {
		if _, err := w.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	if pages <= 0 { // to SQLite, 0 means all
		return nil
	}
	rows, err := w.conn.QueryContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, pages))
	if err != nil {
		return err
	}
	for rows.Next() { // each step frees a page
	}
	return rows.Close()
}

// size is how large the database is, in pages.
type size struct {
	pages, free int64 // free: those that hold nothing
	pageBytes   int64
}

// used returns how many bytes hold something.
func (s size) used() int64 { return (s.pages - s.free) * s.pageBytes }

func (db *DB) size(ctx context.Context) (s size, err error) {
	err = db.peek(ctx, "size", func(tx *sql.Tx) (err error) {
		s, err = readSize(ctx, tx)
		return err
	})
	return s, err
}

func readSize(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (s size, err error) {
	for pragma, n := range map[string]*int64{`page_count`: &s.pages, `page_size`: &s.pageBytes, `freelist_count`: &s.free} {
		if err := q.QueryRowContext(ctx, `PRAGMA `+pragma).Scan(n); err != nil {
			return s, err
		}
	}
	return s, nil
}
