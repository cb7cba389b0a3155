package postgres

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// choice walks through the events that a store.Query selects. Indexed conditions
// narrow the walk; the server checks the others row by row, and the event type is
// compared here, where v1 names are known.
type choice struct {
	q      store.Query
	where  []string // conditions on the walk: of records r and, with jobs, of jobs j
	match  []string // conditions on a row
	params parameters
	jobs   bool // the walk is through open jobs, not through records
}

// chosen is an event of a choice.
type chosen struct {
	seq      int64
	kind     string
	received time.Time
}

// choose resolves the ids of q, if there are any.
func choose(ctx context.Context, tx pgx.Tx, q store.Query) (*choice, error) {
	c := &choice{q: q}
	if len(q.IDs) > 0 {
		seqs := []int64{}
		for _, id := range q.IDs {
			found, err := seqsOf(ctx, tx, id)
			if err != nil {
				return nil, err
			}
			seqs = append(seqs, found...)
		}
		c.where = append(c.where, `r.seq = ANY(`+c.params.add(seqs)+`)`)
	}
	if !q.Since.IsZero() {
		c.match = append(c.match, `r.received_at >= `+c.params.add(at(q.Since)))
	}
	if !q.Until.IsZero() {
		c.match = append(c.match, `r.received_at < `+c.params.add(at(q.Until)))
	}
	if q.Text != "" {
		c.match = append(c.match, `EXISTS (SELECT 1 FROM hookswitch_events AS e WHERE e.seq = r.seq AND position(`+c.params.add([]byte(q.Text))+`::bytea IN e.body) > 0)`)
	}
	c.ofJobs()
	return c, nil
}

// ofJobs adds the query's conditions on jobs.
func (c *choice) ofJobs() {
	if c.q.Status == store.StatusUnhandled {
		c.where = append(c.where, `NOT r.handled`)
		if c.q.Target != "" || c.q.Error != "" {
			c.where = append(c.where, `false`) // no jobs, but conditions on them
		}
		return
	}
	cond := jobCondition(c.q, &c.params)
	switch c.q.Status {
	case store.StatusPending, store.StatusRetrying, store.StatusDead, store.StatusDiscarded:
		c.jobs = true
		// The state is written out, so that the server sees that the index
		// of open jobs has it.
		c.where = append(c.where, `j.state = '`+string(row.State(c.q.Status))+`'`)
		c.match = append(c.match, cond)
	default:
		if cond != `true` {
			c.match = append(c.match, `EXISTS (SELECT 1 FROM hookswitch_jobs AS j WHERE j.event_seq = r.seq AND `+cond+`)`)
		}
	}
}

// jobCondition returns q's condition on a job, as SQL on jobs j.
func jobCondition(q store.Query, p *parameters) string {
	var conds []string
	if q.Target != "" {
		conds = append(conds, `j.target = `+p.add(q.Target))
	}
	switch q.Status {
	case "", store.StatusUnhandled:
	case store.StatusRetrying:
		conds = append(conds, `j.state = 'pending' AND j.attempts > j.base`)
	default:
		conds = append(conds, `j.state = `+p.add(string(row.State(q.Status))))
	}
	if q.Error != "" {
		conds = append(conds, `EXISTS (SELECT 1 FROM hookswitch_attempts AS a WHERE a.job_id = j.id AND a.n = j.attempts AND a.error = `+p.add(wrap(q.Error))+`)`)
	}
	if !q.MissedSince.IsZero() {
		conds = append(conds, `EXISTS (SELECT 1 FROM hookswitch_attempts AS a WHERE a.job_id = j.id AND a.n = j.attempts AND a.finished_at >= `+p.add(at(q.MissedSince))+` AND a.retry_after = 0)`)
	}
	if len(conds) == 0 {
		return `true`
	}
	return strings.Join(conds, ` AND `)
}

// The walk goes in steps of stepRows events, so that it can stop: a server
// does not stop in the middle of a result.
const (
	stepRows = 500

	// budget bounds how long one page or step may look for events.
	budget = 25 * time.Millisecond
)

// step is the next part of the walk: events between from and to.
func (c *choice) step(ctx context.Context, tx pgx.Tx, newestFirst bool, from, to int64) ([]chosen, []bool, error) {
	p := slices.Clone(c.params)
	table, seq, order, match := `hookswitch_records AS r`, `r.seq`, ``, `true`
	if len(c.match) > 0 {
		match = strings.Join(c.match, ` AND `)
	}
	if c.jobs {
		table, seq = `hookswitch_jobs AS j JOIN hookswitch_records AS r ON r.seq = j.event_seq`, `j.event_seq`
		match = `bool_or(` + match + `)` // of the jobs of one event
	}
	where := append([]string{seq + ` > ` + p.add(from) + ` AND ` + seq + ` < ` + p.add(to)}, c.where...)
	text := `SELECT ` + seq + `, r.type, r.received_at, ` + match + ` FROM ` + table + ` WHERE ` + strings.Join(where, ` AND `)
	if c.jobs {
		text += ` GROUP BY j.event_seq, r.type, r.received_at`
	}
	if newestFirst {
		order = ` DESC`
	}
	rows, err := tx.Query(ctx, text+` ORDER BY `+seq+order+` LIMIT `+p.add(stepRows), p...)
	if err != nil {
		return nil, nil, err
	}
	var matches []bool
	found, err := collect(rows, func(rows pgx.Rows) (r chosen, err error) {
		var match *bool
		err = rows.Scan(&r.seq, &r.kind, &r.received, &match)
		r.kind, r.received = unwrap(r.kind), r.received.UTC()
		if r.received.Equal(time.Unix(0, 0)) {
			r.received = time.Time{}
		}
		matches = append(matches, match != nil && *match)
		return r, err
	})
	return found, matches, err
}

// each calls fn with the events of a walk until fn returns false. With bounded
// set it stops when it has looked long enough. It returns the last event it
// looked at, and whether that was the end.
func (c *choice) each(ctx context.Context, tx pgx.Tx, newestFirst, bounded bool, from, to int64, fn func(chosen) bool) (last int64, end bool, err error) {
	began := time.Now()
	for {
		found, matches, err := c.step(ctx, tx, newestFirst, from, to)
		if err != nil {
			return last, false, err
		}
		for i, r := range found {
			last = r.seq
			if matches[i] && c.wants(r.kind) && !fn(r) {
				return last, false, nil
			}
		}
		if len(found) < stepRows {
			return last, true, nil
		}
		if bounded && time.Since(began) > budget {
			return last, false, nil
		}
		if newestFirst {
			to = last
		} else {
			from = last
		}
	}
}

func (c *choice) wants(kind string) bool {
	return len(c.q.Types) == 0 || delivery.Wanted(c.q.Types, kind)
}

// forEver is behind every event.
const forEver = int64(math.MaxInt64)
