package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// laterJobs selects the waiting jobs, with the wish of each one's latest attempt. A
// job blocked by its entity is left alone: the end of the first one pulls it
// forward.
const laterJobs = `
SELECT j.id, j.next_at, j.attempts, j.base, ifnull(a.retry_after, 0)
FROM jobs AS j LEFT JOIN attempts AS a ON a.job_id = j.id AND a.n = j.attempts
WHERE j.target = ? AND j.state = 'pending' AND j.next_at > ? AND (j.entity = '' OR j.event_seq = (
	SELECT b.event_seq FROM jobs AS b
	WHERE b.target = j.target AND b.entity = j.entity AND b.entity <> '' AND b.state = 'pending'
	ORDER BY b.order_at, b.event_seq LIMIT 1))`

// rescheduleGroup is how many jobs are brought forward in one commit.
const rescheduleGroup = 500

// Reschedule implements [store.Store].
func (db *DB) Reschedule(ctx context.Context, target string, now time.Time, schedule delivery.Schedule) (int, error) {
	type move struct {
		id       int64
		was, due time.Time
	}
	var moves []move
	err := db.read(ctx, "reschedule", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, laterJobs, target, now.UnixMicro())
		if err != nil {
			return err
		}
		moves, err = collect(rows, func(rows *sql.Rows) (m move, err error) {
			var j delivery.Job
			var next sql.NullInt64
			var wish int64
			if err := rows.Scan(&m.id, &next, &j.Attempts, &j.Base, &wish); err != nil {
				return m, err
			}
			j.NextAt = fromMicros(next)
			m.was = j.NextAt
			m.due = delivery.Due(j, time.Duration(wish)*time.Microsecond, now, schedule)
			if !m.due.Before(j.NextAt) {
				m.id = 0
			}
			return m, nil
		})
		return err
	})
	moved := 0
	for _, m := range moves {
		if m.id != 0 {
			moves[moved] = m
			moved++
		}
	}
	for left := moves[:moved]; len(left) > 0 && err == nil; {
		group := left[:min(len(left), rescheduleGroup)]
		left = left[len(group):]
		err = db.write(ctx, "reschedule", 64*len(group), func(w *writer) error {
			for _, m := range group {
				// Not if it has been tried since it was read: then its time is right.
				if _, err := w.conn.ExecContext(context.Background(), `UPDATE jobs SET next_at = ?2
					WHERE id = ?1 AND state = 'pending' AND next_at = ?3`, m.id, m.due.UnixMicro(), m.was.UnixMicro()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if moved > 0 {
		db.forgetAhead()
	}
	if err != nil {
		return 0, err
	}
	return moved, nil
}
