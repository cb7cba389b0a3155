package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// openStats also has state <> 'done', for which there is an index. The order is
// that of bytes, as in Go.
const openStats = `
SELECT * FROM (SELECT target, CASE WHEN state = 'dead' THEN 'dead' WHEN attempts > base THEN 'retrying' ELSE 'pending' END AS status,
	count(*), min(round_at) AS oldest
FROM hookswitch_jobs WHERE state <> 'done' AND state IN ('pending', 'dead')
GROUP BY 1, 2) AS s ORDER BY target COLLATE "C", status COLLATE "C"`

// unhandledStats uses an index that has nothing else.
const unhandledStats = `SELECT count(*) FROM hookswitch_records WHERE NOT handled`

// Stats implements [store.Store]. Sidecars that share a database each count all
// of it.
func (db *DB) Stats(ctx context.Context) (s store.Stats, err error) {
	err = db.read(ctx, "stats", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, openStats)
		if err != nil {
			return err
		}
		s.Jobs, err = collect(rows, func(rows pgx.Rows) (j store.JobStats, err error) {
			var oldest *time.Time
			err = rows.Scan(&j.Target, &j.Status, &j.Count, &oldest)
			j.Oldest = fromAt(oldest)
			return j, err
		})
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, unhandledStats).Scan(&s.Unhandled); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT coalesce(sum(bytes), 0)::bigint FROM hookswitch_records`).Scan(&s.Bytes)
	})
	if err != nil {
		return store.Stats{}, err
	}
	return s, nil
}
