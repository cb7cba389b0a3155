package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Waiting work is read in the order of an index that begins with the target, so that
// nothing has to be sorted; dead letters are found by the index of open jobs.
const (
	waitingStats = `
SELECT target, sum(attempts = base), min(iif(attempts = base, round_at, NULL)),
	sum(attempts <> base), min(iif(attempts <> base, round_at, NULL))
FROM jobs INDEXED BY jobs_due WHERE state = 'pending' GROUP BY target`

	deadStats = `
SELECT target, count(*), min(round_at)
FROM jobs WHERE state <> 'done' AND state = 'dead' GROUP BY target`

	// There is an index of these.
	unhandledStats = `SELECT count(*) FROM records WHERE handled = 0`
)

// Stats implements [store.Store].
func (db *DB) Stats(ctx context.Context) (s store.Stats, err error) {
	err = db.read(ctx, "stats", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, waitingStats)
		if err != nil {
			return err
		}
		_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
			var oldest, oldestRetrying sql.NullInt64
			pending, retrying := store.JobStats{Status: store.StatusPending}, store.JobStats{Status: store.StatusRetrying}
			err := rows.Scan(&pending.Target, &pending.Count, &oldest, &retrying.Count, &oldestRetrying)
			retrying.Target = pending.Target
			pending.Oldest, retrying.Oldest = fromMicros(oldest), fromMicros(oldestRetrying)
			s.Jobs = append(s.Jobs, pending, retrying)
			return struct{}{}, err
		})
		if err != nil {
			return err
		}
		if rows, err = tx.QueryContext(ctx, deadStats); err != nil {
			return err
		}
		_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
			var oldest sql.NullInt64
			dead := store.JobStats{Status: store.StatusDead}
			err := rows.Scan(&dead.Target, &dead.Count, &oldest)
			dead.Oldest = fromMicros(oldest)
			s.Jobs = append(s.Jobs, dead)
			return struct{}{}, err
		})
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, unhandledStats).Scan(&s.Unhandled)
	})
	if err != nil {
		return store.Stats{}, err
	}
	s.Jobs = slices.DeleteFunc(s.Jobs, func(j store.JobStats) bool { return j.Count == 0 })
	slices.SortFunc(s.Jobs, func(a, b store.JobStats) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Status, b.Status))
	})
	size, err := db.size(ctx)
	s.Bytes = size.used()
	return s, err
}
