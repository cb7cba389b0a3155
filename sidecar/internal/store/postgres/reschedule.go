package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// reschedule is delivery.Due in SQL. A job blocked by its entity is left alone: the
// end of the first one pulls it forward.
const reschedule = `
WITH later AS (
	SELECT j.id, j.next_at, $2::timestamptz + CASE
		WHEN j.attempts = j.base THEN interval '0'
		WHEN a.retry_after > 0 THEN a.retry_after * interval '1 microsecond'
		ELSE coalesce(($3::bigint[])[least(j.attempts - j.base, cardinality($3))], 0) * interval '1 microsecond'
	END AS due
	FROM hookswitch_jobs AS j LEFT JOIN hookswitch_attempts AS a ON a.job_id = j.id AND a.n = j.attempts
	WHERE j.target = $1 AND j.state = 'pending' AND j.owner IS NULL AND j.next_at > $2
		AND (j.entity = '' OR j.event_seq = (
			SELECT b.event_seq FROM hookswitch_jobs AS b
			WHERE b.target = j.target AND b.entity = j.entity AND b.entity <> '' AND b.state = 'pending'
			ORDER BY b.order_at, b.event_seq LIMIT 1))
), locked AS (
	SELECT j.id, later.due FROM later JOIN hookswitch_jobs AS j ON j.id = later.id
	WHERE later.due < later.next_at AND j.state = 'pending' AND j.owner IS NULL AND j.next_at = later.next_at
	ORDER BY j.id LIMIT $4 FOR UPDATE OF j SKIP LOCKED
)
UPDATE hookswitch_jobs AS j SET next_at = locked.due FROM locked WHERE j.id = locked.id`

// rescheduleGroup is how many jobs are brought forward in one commit.
const rescheduleGroup = 2000

// Reschedule implements [store.Store].
func (db *DB) Reschedule(ctx context.Context, target string, now time.Time, schedule delivery.Schedule) (moved int, err error) {
	// Those that are claimed already would be left alone.
	db.giveBack(ctx, db.held.recall(func(c claimed) bool { return c.target == target }))
	waits := make([]int64, len(schedule))
	for i, w := range schedule {
		waits[i] = (w + w/2).Microseconds()
	}
	for {
		var n int
		var touched bool // also by a commit that has landed unreported
		err := db.change(ctx, "reschedule", func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, reschedule, target, at(now), waits, rescheduleGroup)
			n = int(tag.RowsAffected())
			touched = touched || n > 0
			return err
		})
		if touched {
			db.held.changed(target)
			db.notices.add([]string{target})
		}
		if err != nil {
			return moved, err
		}
		moved += n
		if n < rescheduleGroup {
			break
		}
	}
	return moved, nil
}
