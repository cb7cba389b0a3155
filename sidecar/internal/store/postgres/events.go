package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// Events implements [store.Store].
func (db *DB) Events(ctx context.Context, q store.Query, before int64, limit int) (page store.Page, err error) {
	if before <= 0 {
		before = forEver
	}
	limit = max(limit, 1)
	err = db.read(ctx, "events", func(tx pgx.Tx) error {
		c, err := choose(ctx, tx, q)
		if err != nil {
			return err
		}
		var seqs []int64
		last, end, err := c.each(ctx, tx, true, true, 0, before, func(r chosen) bool {
			seqs = append(seqs, r.seq)
			return len(seqs) < limit
		})
		if err != nil {
			return err
		}
		page = store.Page{}
		if !end {
			page.Next = last
		}
		page.Deliveries, err = loadDeliveries(ctx, tx, seqs, summary)
		return err
	})
	return page, err
}

// DeadGroups implements [store.Store].
func (db *DB) DeadGroups(ctx context.Context, q store.Query) (groups []store.DeadGroup, err error) {
	q.Status = store.StatusDead
	found := make(row.DeadGroups)
	err = db.read(ctx, "dead letters", func(tx pgx.Tx) error {
		clear(found)
		for from := int64(0); ; {
			rows, last, end, err := nextRows(ctx, tx, q, from, forEver, stepRows)
			if err != nil {
				return err
			}
			if err := addDead(ctx, tx, q, rows, found); err != nil {
				return err
			}
			if end {
				return nil
			}
			from = last
		}
	})
	return found.List(), err
}

// addDead counts the dead letters of some events.
func addDead(ctx context.Context, tx pgx.Tx, q store.Query, of []chosen, found row.DeadGroups) error {
	bySeq := make(map[int64]chosen, len(of))
	for _, r := range of {
		bySeq[r.seq] = r
	}
	var p parameters
	cond := jobCondition(q, &p)
	rows, err := tx.Query(ctx, `
		SELECT j.event_seq, j.target, coalesce(a.error, ''), coalesce(a.error_codes, ''), coalesce(a.response_status, 0)
		FROM hookswitch_jobs AS j LEFT JOIN hookswitch_attempts AS a ON a.job_id = j.id AND a.n = j.attempts
		WHERE `+cond+` AND j.event_seq = ANY(`+p.add(seqs(of))+`)`, p...)
	if err != nil {
		return err
	}
	_, err = collect(rows, func(rows pgx.Rows) (struct{}, error) {
		var key store.DeadGroup
		var seq int64
		var codes string
		if err := rows.Scan(&seq, &key.Target, &key.Error, &codes, &key.ResponseStatus); err != nil {
			return struct{}{}, err
		}
		key.EventType, key.Error = bySeq[seq].kind, unwrap(key.Error)
		found.Add(key, codes, bySeq[seq].received)
		return struct{}{}, nil
	})
	return err
}

func seqs(rows []chosen) []int64 {
	list := make([]int64, len(rows))
	for i, r := range rows {
		list[i] = r.seq
	}
	return list
}

// nextRows returns up to limit events that q selects after one, oldest first,
// the last one it looked at, and whether there are no more.
func nextRows(ctx context.Context, tx pgx.Tx, q store.Query, after, to int64, limit int) (rows []chosen, last int64, end bool, err error) {
	c, err := choose(ctx, tx, q)
	if err != nil {
		return nil, 0, false, err
	}
	last, end, err = c.each(ctx, tx, false, true, after, to, func(r chosen) bool {
		rows = append(rows, r)
		return len(rows) < limit
	})
	return rows, last, end, err
}

// discardGroup is how many dead letters one commit of Discard moves.
const discardGroup = 500

// Discard implements [store.Store].
func (db *DB) Discard(ctx context.Context, q store.Query) (total int, err error) {
	q.Status = store.StatusDead
	for after := int64(0); ; {
		var moved int
		var last int64
		var end bool
		err := db.change(ctx, "discard", func(tx pgx.Tx) error {
			var of []chosen
			var err error
			if of, last, end, err = nextRows(ctx, tx, q, after, forEver, discardGroup); err != nil {
				return err
			}
			moved, err = discard(ctx, tx, q, seqs(of))
			return err
		})
		if err != nil {
			return total, err
		}
		total += moved
		if end {
			return total, nil
		}
		after = last
	}
}

func discard(ctx context.Context, tx pgx.Tx, q store.Query, seqs []int64) (int, error) {
	if len(seqs) == 0 {
		return 0, nil
	}
	if err := lockRecords(ctx, tx, seqs); err != nil {
		return 0, err
	}
	var p parameters
	cond := jobCondition(q, &p)
	tag, err := tx.Exec(ctx, `UPDATE hookswitch_jobs AS j SET state = 'discarded'
		WHERE `+cond+` AND j.event_seq = ANY(`+p.add(seqs)+`) AND j.state = ANY(`+p.add(row.States(delivery.MoveDiscard))+`)`, p...)
	return int(tag.RowsAffected()), err
}

// lockRecords locks the records of some events, and with them their jobs; see
// lockRecordsOfJobs.
func lockRecords(ctx context.Context, tx pgx.Tx, seqs []int64) error {
	_, err := tx.Exec(ctx, `SELECT seq FROM hookswitch_records WHERE seq = ANY($1) ORDER BY seq FOR UPDATE`, seqs)
	return err
}

// PreviewReplay implements [store.Store].
func (db *DB) PreviewReplay(ctx context.Context, q store.Query) (p store.Preview, err error) {
	err = db.read(ctx, "preview replay", func(tx pgx.Tx) error {
		p = store.Preview{Types: make(map[string]int)}
		return count(ctx, tx, q, func(kind string, received time.Time) { row.Count(&p, kind, received) })
	})
	return p, err
}

// count calls add for every event that q selects.
func count(ctx context.Context, tx pgx.Tx, q store.Query, add func(kind string, received time.Time)) error {
	c, err := choose(ctx, tx, q)
	if err != nil {
		return err
	}
	_, _, err = c.each(ctx, tx, false, false, 0, forEver, func(r chosen) bool {
		add(r.kind, r.received)
		return true
	})
	return err
}
