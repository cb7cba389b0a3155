package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// hurryGroup is how many events one commit of Hurry looks at.
const hurryGroup = 500

// Hurry implements [store.Store].
func (db *DB) Hurry(ctx context.Context, q store.Query, now time.Time, limit int) (total int, all []string, err error) {
	q = q.Waiting()
	for after := int64(0); ; {
		group := hurryGroup
		if limit > 0 {
			group = min(group, limit-total)
		}
		var targets, touched []string // touched: also by a commit that has landed unreported
		var last int64
		var end bool
		err := db.change(ctx, "hurry", func(tx pgx.Tx) error {
			var of []chosen
			var err error
			if of, last, end, err = nextRows(ctx, tx, q, after, forEver, group); err != nil {
				return err
			}
			targets, err = hurry(ctx, tx, q, now, seqs(of))
			touched = append(touched, targets...)
			return err
		})
		db.held.changed(touched...)
		db.notices.add(touched)
		if err != nil {
			return total, all, err
		}
		total += len(targets)
		all = append(all, targets...)
		slices.Sort(all)
		all = slices.Compact(all)
		if end || limit > 0 && total >= limit {
			return total, all, nil
		}
		after = last
	}
}

// hurry makes the jobs of some events due, and returns the target of each. A job
// that waits for another of its entity is left alone: the end of that one pulls it
// forward.
func hurry(ctx context.Context, tx pgx.Tx, q store.Query, now time.Time, seqs []int64) ([]string, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	if err := lockRecords(ctx, tx, seqs); err != nil {
		return nil, err
	}
	var p parameters
	due := p.add(at(now))
	rows, err := tx.Query(ctx, `UPDATE hookswitch_jobs AS j SET next_at = `+due+`
		WHERE j.event_seq = ANY(`+p.add(seqs)+`) AND j.state = 'pending' AND j.owner IS NULL AND j.next_at > `+due+`
			AND (j.entity = '' OR j.event_seq = (
				SELECT b.event_seq FROM hookswitch_jobs AS b
				WHERE b.target = j.target AND b.entity = j.entity AND b.entity <> '' AND b.state = 'pending'
				ORDER BY b.order_at, b.event_seq LIMIT 1))
			AND `+jobCondition(q, &p)+` RETURNING j.target`, p...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
