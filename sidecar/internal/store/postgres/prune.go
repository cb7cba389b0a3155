package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// pruneLook is how many events one Prune checks to find some to remove.
const pruneLook = 5000

// sweep is one pass through the events, from the oldest on, in many Prunes.
type sweep struct {
	of   *life // history of the database; a new one restarts the sweep
	from int64 // events up to here were looked at
	size int64 // bytes in use
}

// victims are selected from the oldest on.
const victims = `
SELECT r.seq, r.received_at, r.bytes,
	EXISTS (SELECT 1 FROM hookswitch_jobs AS j WHERE j.event_seq = r.seq AND j.state = 'pending'),
	EXISTS (SELECT 1 FROM hookswitch_jobs AS j WHERE j.event_seq = r.seq AND j.state = 'dead')
FROM hookswitch_records AS r WHERE r.seq > $1 ORDER BY r.seq LIMIT $2`

// Prune implements [store.Store]. Its calls go through the events from the oldest
// on, one piece each; the one that reaches the end has More unset, and the next
// begins again. While another sidecar prunes it does nothing.
//
// Bytes are those of the events and their attempts. The server's autovacuum makes
// the freed space usable for new events: the tables do not grow beyond MaxBytes,
// but their files do not shrink either.
func (db *DB) Prune(ctx context.Context, r store.Retention, limit int) (pruned store.Pruned, err error) {
	db.pruneMu.Lock()
	defer db.pruneMu.Unlock()
	var next sweep
	err = db.change(ctx, "prune", func(tx pgx.Tx) error {
		next, pruned = db.sweep, store.Pruned{}
		if of := db.life.Load(); next.of != of {
			next = sweep{of: of}
		}
		var alone bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1, $2)`, lockSpace, lockPrune).Scan(&alone); err != nil {
			return err
		}
		if next.from == 0 {
			if err := tx.QueryRow(ctx, countBytes).Scan(&next.size); err != nil {
				return err
			}
		}
		if pruned.Bytes = next.size; !alone {
			next.from = 0
			return nil
		}
		return next.prune(ctx, tx, r, max(limit, 1), &pruned)
	})
	if err != nil {
		db.sweep = sweep{}
		return store.Pruned{}, err
	}
	db.sweep = next
	return pruned, nil
}

const countBytes = `SELECT coalesce(sum(bytes), 0) FROM hookswitch_records`

// Excess implements [store.Store].
func (db *DB) Excess(ctx context.Context, r store.Retention) (excess int64, err error) {
	if r.MaxBytes <= 0 {
		return 0, nil
	}
	err = db.change(ctx, "size", func(tx pgx.Tx) error {
		var size int64
		err := tx.QueryRow(ctx, countBytes).Scan(&size)
		excess = max(0, size-r.MaxBytes)
		return err
	})
	return excess, err
}

// victim is an event that may be removed.
type victim struct {
	seq, bytes int64
}

func (s *sweep) prune(ctx context.Context, tx pgx.Tx, r store.Retention, limit int, pruned *store.Pruned) error {
	tooLarge := r.MaxBytes > 0 && s.size > r.MaxBytes
	chosen, last, end, err := s.choose(ctx, tx, r, limit)
	if err != nil {
		return err
	}
	removed, err := remove(ctx, tx, chosen)
	if err != nil {
		return err
	}
	for _, v := range chosen {
		if removed[v.seq] {
			s.size -= v.bytes
		}
	}
	s.from = last
	if end {
		s.from = 0
	}
	*pruned = store.Pruned{Events: len(removed), Bytes: s.size, More: !end || tooLarge && len(removed) > 0}
	if r.MaxBytes > 0 {
		pruned.Excess = max(0, s.size-r.MaxBytes)
	}
	return nil
}

// choose returns the next events to remove, the last one looked at, and
// whether all have been.
func (s *sweep) choose(ctx context.Context, tx pgx.Tx, r store.Retention, limit int) (chosen []victim, last int64, end bool, err error) {
	rows, err := tx.Query(ctx, victims, s.from, pruneLook)
	if err != nil {
		return nil, 0, false, err
	}
	defer rows.Close()
	last = s.from
	var over int64 // the excess
	if r.MaxBytes > 0 {
		over = s.size - r.MaxBytes
	}
	looked := 0
	for ; len(chosen) < limit && rows.Next(); looked++ {
		var v victim
		var received time.Time
		var pending, dead bool
		if err := rows.Scan(&v.seq, &received, &v.bytes, &pending, &dead); err != nil {
			return nil, 0, false, err
		}
		last = v.seq
		if over <= 0 && r.Young(received) {
			return chosen, last, true, nil
		}
		switch {
		case pending:
		case dead && received.Before(r.DeadBefore), !dead && (over > 0 || received.Before(r.Before)):
			chosen = append(chosen, v)
			over -= v.bytes
		}
	}
	end = len(chosen) < limit && looked < pruneLook
	return chosen, last, end, rows.Err()
}

// remove removes events with everything that belongs to them, unless one has
// become due again meanwhile.
func remove(ctx context.Context, tx pgx.Tx, chosen []victim) (map[int64]bool, error) {
	if len(chosen) == 0 {
		return nil, nil
	}
	list := make([]int64, len(chosen))
	for i, v := range chosen {
		list[i] = v.seq
	}
	if err := lockRecords(ctx, tx, list); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT r.seq FROM hookswitch_records AS r WHERE r.seq = ANY($1)
		AND NOT EXISTS (SELECT 1 FROM hookswitch_jobs AS j WHERE j.event_seq = r.seq AND j.state = 'pending')`, list)
	if err != nil {
		return nil, err
	}
	doomed, err := collect(rows, scanOne[int64])
	if err != nil {
		return nil, err
	}
	for _, text := range []string{
		`DELETE FROM hookswitch_attempts WHERE job_id IN (SELECT id FROM hookswitch_jobs WHERE event_seq = ANY($1))`,
		`DELETE FROM hookswitch_jobs WHERE event_seq = ANY($1)`,
		`DELETE FROM hookswitch_records WHERE seq = ANY($1)`,
		`DELETE FROM hookswitch_events WHERE seq = ANY($1)`,
	} {
		if _, err := tx.Exec(ctx, text, doomed); err != nil {
			return nil, err
		}
	}
	removed := make(map[int64]bool, len(doomed))
	for _, seq := range doomed {
		removed[seq] = true
	}
	return removed, nil
}
