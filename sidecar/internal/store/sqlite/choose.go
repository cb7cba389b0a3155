package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// choice walks through the events that a store.Query selects. Indexed conditions
// narrow the walk; SQLite checks the others row by row, and the event type is
// compared here, where v1 names are known.
type choice struct {
	q     store.Query
	where []string // conditions on the walk: of records as r and, with jobs, of jobs as j
	args  []any
	match []string // conditions on a row
	margs []any
	jobs  bool // the walk is through open jobs, not through records
}

// chosen is an event of a choice.
type chosen struct {
	seq      int64
	kind     string
	received int64
}

// choose resolves the ids of q, if there are any.
func choose(ctx context.Context, tx *sql.Tx, q store.Query) (*choice, error) {
	c := &choice{q: q}
	if len(q.IDs) > 0 {
		var seqs []int64
		for _, id := range q.IDs {
			found, err := seqsOf(ctx, tx, id)
			if err != nil {
				return nil, err
			}
			seqs = append(seqs, found...)
		}
		c.walk(`r.seq IN (SELECT value FROM json_each(?))`, jsonList(append([]int64{}, seqs...)))
	}
	if !q.Since.IsZero() {
		c.only(`r.received_at >= ?`, q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		c.only(`r.received_at < ?`, q.Until.UnixMicro())
	}
	if q.Text != "" {
		c.only(`EXISTS (SELECT 1 FROM events AS e WHERE e.seq = r.seq AND instr(e.body, ?))`, []byte(q.Text))
	}
	c.ofJobs()
	return c, nil
}

// ofJobs adds the query's conditions on jobs.
func (c *choice) ofJobs() {
	cond, args := jobCondition(c.q)
	switch c.q.Status {
	case store.StatusUnhandled:
		c.walk(`r.handled = 0`)
		if cond != `true` {
			c.walk(`false`) // no jobs, but conditions on them
		}
	case store.StatusPending, store.StatusRetrying, store.StatusDead, store.StatusDiscarded:
		c.jobs = true
		// The index has a condition of its own, which SQLite does not derive
		// from the other one.
		c.walk(`j.state <> 'done' AND j.state = ?`, string(row.State(c.q.Status)))
		c.only(cond, args...)
	default:
		if cond != `true` {
			c.only(`EXISTS (SELECT 1 FROM jobs AS j WHERE j.event_seq = r.seq AND `+cond+`)`, args...)
		}
	}
}

func (c *choice) walk(cond string, args ...any) {
	c.where, c.args = append(c.where, cond), append(c.args, args...)
}

func (c *choice) only(cond string, args ...any) {
	c.match, c.margs = append(c.match, cond), append(c.margs, args...)
}

// jobCondition returns q's condition on a job, as SQL on jobs AS j.
func jobCondition(q store.Query) (cond string, args []any) {
	conds := []string{`true`}
	if q.Target != "" {
		conds, args = append(conds, `j.target = ?`), append(args, q.Target)
	}
	switch q.Status {
	case "", store.StatusUnhandled:
	case store.StatusRetrying:
		conds = append(conds, `j.state = 'pending' AND j.attempts > j.base`)
	default:
		conds, args = append(conds, `j.state = ?`), append(args, string(row.State(q.Status)))
	}
	if q.Error != "" {
		conds = append(conds, `EXISTS (SELECT 1 FROM attempts AS a WHERE a.job_id = j.id AND a.n = j.attempts AND a.error = ?)`)
		args = append(args, q.Error)
	}
	if !q.MissedSince.IsZero() {
		conds = append(conds, `EXISTS (SELECT 1 FROM attempts AS a WHERE a.job_id = j.id AND a.n = j.attempts AND a.finished_at >= ? AND a.retry_after = 0)`)
		args = append(args, q.MissedSince.UnixMicro())
	}
	if len(conds) > 1 {
		conds = conds[1:]
	}
	return strings.Join(conds, ` AND `), args
}

// rows begins the walk, after or, newest first, before an event.
func (c *choice) rows(ctx context.Context, tx *sql.Tx, newestFirst bool, from, to int64) (*sql.Rows, error) {
	table, seq, order := `records AS r`, `r.seq`, ``
	if c.jobs {
		table, seq = `jobs AS j INDEXED BY jobs_open CROSS JOIN records AS r ON r.seq = j.event_seq`, `j.event_seq`
	}
	if newestFirst {
		order = ` DESC`
	}
	where := append([]string{seq + ` > ? AND ` + seq + ` < ?`}, c.where...)
	match := `true`
	if len(c.match) > 0 {
		match = strings.Join(c.match, ` AND `)
	}
	args := slices.Concat(c.margs, []any{from, to}, c.args)
	return tx.QueryContext(ctx, `SELECT `+seq+`, r.type, r.received_at, (`+match+`) FROM `+table+
		` WHERE `+strings.Join(where, ` AND `)+` ORDER BY `+seq+order, args...)
}

// budget bounds how long one page or step may look for events.
const budget = 25 * time.Millisecond

// each calls fn with the events of a walk until fn returns false. With bounded
// set it stops when it has looked long enough. It returns the last event it looked
// at, and whether that was the end.
func (c *choice) each(ctx context.Context, tx *sql.Tx, newestFirst, bounded bool, from, to int64, fn func(chosen) bool) (last int64, end bool, err error) {
	rows, err := c.rows(ctx, tx, newestFirst, from, to)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	began, taken := time.Now(), int64(0)
	for rows.Next() {
		var r chosen
		var match bool
		if err := rows.Scan(&r.seq, &r.kind, &r.received, &match); err != nil {
			return last, false, err
		}
		// An event with several jobs is met several times in a row. Only at
		// another event may the walk stop.
		if r.seq != last && bounded && last != 0 && time.Since(began) > budget {
			return last, false, nil
		}
		last = r.seq
		if !match || r.seq == taken || !c.wants(r.kind) {
			continue
		}
		taken = r.seq
		if !fn(r) {
			return last, false, nil
		}
	}
	return last, true, rows.Err()
}

func (c *choice) wants(kind string) bool {
	return len(c.q.Types) == 0 || delivery.Wanted(c.q.Types, kind)
}

// seqsOf returns the events that have an id.
func seqsOf(ctx context.Context, tx *sql.Tx, id string) ([]int64, error) {
	rows, err := tx.QueryContext(ctx, selectByID, id, row.IsUUID(id))
	if err != nil {
		return nil, err
	}
	return collect(rows, scanSeq)
}
