package sqlite

import (
	"context"
	"database/sql"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// openStats says state <> 'done' as well, for which there is an index.
const openStats = `
SELECT target, CASE WHEN state = 'dead' THEN 'dead' WHEN attempts > base THEN 'retrying' ELSE 'pending' END AS status,
	count(*), min(round_at)
FROM jobs WHERE state <> 'done' AND state IN ('pending', 'dead')
GROUP BY target, status ORDER BY target, status`

// Stats implements [store.Store].
func (db *DB) Stats(ctx context.Context) (s store.Stats, err error) {
	err = db.read(ctx, "stats", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, openStats)
		if err != nil {
			return err
		}
		s.Jobs, err = collect(rows, func(rows *sql.Rows) (j store.JobStats, err error) {
			var oldest sql.NullInt64
			err = rows.Scan(&j.Target, &j.Status, &j.Count, &oldest)
			j.Oldest = fromMicros(oldest)
			return j, err
		})
		return err
	})
	if err != nil {
		return store.Stats{}, err
	}
	s.Bytes, _, err = db.size(ctx)
	return s, err
}
