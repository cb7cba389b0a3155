package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

const (
	// pruneLook is how many events one Prune looks at to find some to remove.
	pruneLook = 5000

	// rowBytes is what an event takes beside its body, about.
	rowBytes = 1000

	// Space is given back in small pieces, each a part of a commit that
	// others may be waiting for, and as long as more than sparePages are
	// free: a few are soon needed again.
	sparePages = 256
)

// victims are looked at from the oldest on.
const victims = `
SELECT r.seq, r.received_at, (SELECT length(body) FROM events WHERE seq = r.seq),
	EXISTS (SELECT 1 FROM jobs WHERE event_seq = r.seq AND state = 'pending'),
	EXISTS (SELECT 1 FROM jobs WHERE event_seq = r.seq AND state = 'dead')
FROM records AS r WHERE r.seq > ? ORDER BY r.seq LIMIT ?`

// Prune implements [store.Store]. Its calls go through the events from the
// oldest on, a piece each; one that has seen all of them has More unset unless
// there is space to give back, and the next begins anew.
func (db *DB) Prune(ctx context.Context, r store.Retention, limit int) (store.Pruned, error) {
	db.pruneMu.Lock()
	defer db.pruneMu.Unlock()
	size, _, err := db.size(ctx)
	tooLarge := r.MaxBytes > 0 && size > r.MaxBytes
	if err != nil {
		return store.Pruned{}, err
	}
	seqs, last, end, err := db.victims(ctx, r, size, max(limit, 1))
	if err != nil {
		return store.Pruned{}, err
	}
	if err := db.write(ctx, "prune", 4096*(len(seqs)+1), func(w *writer) error { return w.prune(seqs) }); err != nil {
		return store.Pruned{}, err
	}
	db.pruneFrom = last
	if end {
		db.pruneFrom = 0
	}
	size, free, err := db.size(ctx)
	return store.Pruned{Events: len(seqs), Bytes: size, More: !end || free > sparePages || tooLarge && len(seqs) > 0}, err
}

// victims returns the next events to remove, the last one looked at, and
// whether all have been.
func (db *DB) victims(ctx context.Context, r store.Retention, size int64, limit int) (seqs []int64, last int64, end bool, err error) {
	last = db.pruneFrom
	var over int64 // how much there is too much, about
	if r.MaxBytes > 0 {
		over = size - r.MaxBytes
	}
	err = db.read(ctx, "prune", func(tx *sql.Tx) error {
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

// prune removes events with all that belongs to them, unless one has become
// due again meanwhile, and gives back some space.
func (w *writer) prune(seqs []int64) error {
	ctx, list := context.Background(), jsonList(append([]int64{}, seqs...))
	for _, text := range []string{
		`CREATE TEMP TABLE IF NOT EXISTS doomed (seq INTEGER PRIMARY KEY)`,
		`DELETE FROM doomed`,
	} {
		if _, err := w.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	_, err := w.conn.ExecContext(ctx, `INSERT INTO doomed SELECT value FROM json_each(?) AS v
		WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE event_seq = v.value AND state = 'pending')`, list)
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
	rows, err := w.conn.QueryContext(ctx, `PRAGMA incremental_vacuum(500)`)
	if err != nil {
		return err
	}
	for rows.Next() { // each step frees a page
	}
	return rows.Close()
}

// size returns how many bytes are in use, and how many pages are not.
func (db *DB) size(ctx context.Context) (used int64, free int64, err error) {
	err = db.read(ctx, "size", func(tx *sql.Tx) error {
		var pages, pageSize int64
		for pragma, n := range map[string]*int64{`page_count`: &pages, `page_size`: &pageSize, `freelist_count`: &free} {
			if err := tx.QueryRowContext(ctx, `PRAGMA `+pragma).Scan(n); err != nil {
				return err
			}
		}
		used = (pages - free) * pageSize
		return nil
	})
	return used, free, err
}
