package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
)

// hurryGroup is how many events one commit of Hurry looks at.
const hurryGroup = 500

// hurry makes jobs due. A job that waits for another of its entity is left alone: the
// end of that one pulls it forward.
const hurry = `
UPDATE jobs AS j SET next_at = ?1
WHERE j.event_seq IN (SELECT value FROM json_each(?2)) AND j.state = 'pending' AND j.next_at > ?1
	AND (j.entity = '' OR j.event_seq = (
		SELECT b.event_seq FROM jobs AS b
		WHERE b.target = j.target AND b.entity = j.entity AND b.entity <> '' AND b.state = 'pending'
		ORDER BY b.order_at, b.event_seq LIMIT 1))
	AND `

// Hurry implements [store.Store].
func (db *DB) Hurry(ctx context.Context, q store.Query, now time.Time, limit int) (total int, all []string, err error) {
	q = q.Waiting()
	for after := int64(0); ; {
		group := hurryGroup
		if limit > 0 {
			group = min(group, limit-total)
		}
		life := db.lives.Load()
		seqs, last, end, err := db.nextEvents(ctx, q, after, math.MaxInt64, group)
		if err != nil {
			return total, all, err
		}
		if len(seqs) > 0 {
			n, targets, err := db.hurry(ctx, life, q, now.UnixMicro(), seqs)
			if errors.Is(err, errRestored) {
				after = 0
				continue
			}
			if err != nil {
				return total, all, err
			}
			total += n
			all = append(all, targets...)
			slices.Sort(all)
			all = slices.Compact(all)
		}
		if end || limit > 0 && total >= limit {
			return total, all, nil
		}
		after = last
	}
}

func (db *DB) hurry(ctx context.Context, life int64, q store.Query, now int64, seqs []int64) (moved int, targets []string, err error) {
	cond, args := jobCondition(q)
	err = db.submit(ctx, "hurry", &op{
		Op: batch.NewOp(64 * len(seqs)),
		run: func(w *writer) error {
			if err := db.sameLife(life); err != nil {
				return err
			}
			rows, err := w.conn.QueryContext(context.Background(), hurry+cond+` RETURNING target`,
				append([]any{now, jsonList(seqs)}, args...)...)
			if err != nil {
				return err
			}
			targets, err = collect(rows, func(rows *sql.Rows) (name string, err error) {
				err = rows.Scan(&name)
				return name, err
			})
			moved = len(targets)
			return err
		},
		committed: func() {
			if moved > 0 {
				db.forgetAhead() // some of them may be there with their old times
			}
		},
	})
	if err != nil {
		return 0, nil, err
	}
	return moved, targets, nil
}
