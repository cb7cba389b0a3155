package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// parameters collects the arguments of a statement being built.
type parameters []any

// add adds a value and returns the statement's reference to it.
func (p *parameters) add(v any) string {
	*p = append(*p, v)
	return "$" + strconv.Itoa(len(*p))
}

// selectByID compares in lower case, as the indexes do, and for anything but a UUID
// also as spelled. A delivery's own id goes first.
const selectByID = `
SELECT seq FROM (
	SELECT 0 AS rank, seq FROM hookswitch_events
	WHERE lower(delivery_id) = lower($1) AND ($2 OR delivery_id = $1)
	UNION ALL
	SELECT 1 AS rank, seq FROM hookswitch_events
	WHERE key = ANY($3) AND id <> '' AND lower(id) = lower($1) AND ($2 OR id = $1)
	UNION ALL
	SELECT 1 AS rank, seq FROM hookswitch_events
	WHERE lower(id) = lower($1) AND ` + otherID + ` AND ($2 OR id = $1)
) AS found ORDER BY rank, seq DESC`

// seqsOf returns the events that have an id, the intended one first.
func seqsOf(ctx context.Context, tx pgx.Tx, id string) ([]int64, error) {
	text := wrap(id)
	keys := slices.Compact([]string{"id:" + text, "id:" + strings.ToLower(text)})
	rows, err := tx.Query(ctx, selectByID, text, row.IsUUID(id), keys)
	if err != nil {
		return nil, err
	}
	return collect(rows, scanOne[int64])
}

// Delivery implements [store.Store]. If several events have the id, it returns the
// newest.
func (db *DB) Delivery(ctx context.Context, id string) (*store.Delivery, error) {
	var found []store.Delivery
	err := db.read(ctx, "delivery", func(tx pgx.Tx) error {
		seqs, err := seqsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(seqs) == 0 {
			return fmt.Errorf("%w: no delivery or event has the id %q", store.ErrNotFound, id)
		}
		found, err = loadDeliveries(ctx, tx, seqs[:1], whole)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: the event with the id %q cannot be read", store.ErrNotFound, id)
	}
	return &found[0], nil
}

// Deliveries implements [store.Store].
func (db *DB) Deliveries(ctx context.Context, f store.Filter) (page []store.Delivery, total int, err error) {
	var p parameters
	where := filterSQL(f, &p)
	err = db.read(ctx, "deliveries", func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM hookswitch_records AS r WHERE `+where, p...).Scan(&total); err != nil {
			return err
		}
		text := `SELECT seq FROM hookswitch_records AS r WHERE ` + where + ` ORDER BY seq DESC OFFSET ` + p.add(max(f.Offset, 0))
		if f.Limit > 0 {
			text += ` LIMIT ` + p.add(f.Limit)
		}
		rows, err := tx.Query(ctx, text, p...)
		if err != nil {
			return err
		}
		seqs, err := collect(rows, scanOne[int64])
		if err != nil {
			return err
		}
		page, err = loadDeliveries(ctx, tx, seqs, whole)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return page, total, nil
}

// read runs fn in a transaction, so that all its queries see one state.
func (db *DB) read(ctx context.Context, operation string, fn func(pgx.Tx) error) error {
	if db.closed() {
		return store.ErrClosed
	}
	return db.failed(operation, db.again(ctx, func() error { return db.transact(ctx, beginRead, fn) }))
}

// detail selects how much of a delivery is loaded.
type detail struct {
	eventColumns string // of scanEvent
	attempts     string // condition on attempts a and jobs j
}

var (
	whole = detail{eventColumns, `true`}

	// summary leaves out the wide columns, with which a list of large events
	// would fill the memory, and all attempts but the latest.
	summary = detail{summaryColumns, `a.n = j.attempts`}
)

// loadDeliveries returns the deliveries of events in the order of seqs, without those
// of which only jobs can be read.
func loadDeliveries(ctx context.Context, tx pgx.Tx, seqs []int64, d detail) ([]store.Delivery, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	out := row.NewDeliveries(seqs)
	rows, err := tx.Query(ctx, `SELECT `+d.eventColumns+` FROM hookswitch_events AS e WHERE e.seq = ANY($1)`, seqs)
	if err != nil {
		return nil, err
	}
	events, err := collect(rows, func(rows pgx.Rows) (*delivery.Event, error) { return scanEvent(rows) })
	if err != nil {
		return nil, err
	}
	out.Events(events)

	rows, err = tx.Query(ctx, `SELECT `+jobColumns+` FROM hookswitch_jobs AS j WHERE j.event_seq = ANY($1) ORDER BY j.id`, seqs)
	if err != nil {
		return nil, err
	}
	jobs, err := collect(rows, scanJob)
	if err != nil {
		return nil, err
	}
	out.Jobs(jobs)

	rows, err = tx.Query(ctx, `SELECT `+attemptColumns+`, j.target, j.event_seq
		FROM hookswitch_jobs AS j JOIN hookswitch_attempts AS a ON a.job_id = j.id
		WHERE j.event_seq = ANY($1) AND `+d.attempts+`
		ORDER BY a.started_at DESC NULLS LAST, a.job_id DESC, a.n DESC`, seqs)
	if err != nil {
		return nil, err
	}
	_, err = collect(rows, func(rows pgx.Rows) (struct{}, error) {
		var target string
		var seq int64
		a, err := scanAttempt(rows, &target, &seq)
		if err == nil {
			a.Target = target
			out.Attempt(seq, a)
		}
		return struct{}{}, err
	})
	return out.Whole(), err
}

// Backlog implements [store.Store].
func (db *DB) Backlog(ctx context.Context) (map[string]int, error) {
	backlog := make(map[string]int)
	err := db.read(ctx, "backlog", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT target, count(*) FROM hookswitch_jobs WHERE state = 'pending' GROUP BY target`)
		if err != nil {
			return err
		}
		_, err = collect(rows, func(rows pgx.Rows) (struct{}, error) {
			var target string
			var n int
			err := rows.Scan(&target, &n)
			backlog[target] = n
			return struct{}{}, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return backlog, nil
}

// filterSQL returns f as a condition on records r. Only the two searches for text look
// at other tables, each by key.
func filterSQL(f store.Filter, p *parameters) string {
	conds := []string{`r.status IS NOT NULL`}
	if f.Status != "" {
		conds = append(conds, `r.status = `+p.add(f.Status))
	}
	if len(f.EventTypes) > 0 {
		types := make([]string, len(f.EventTypes))
		for i, t := range f.EventTypes {
			types[i] = wrap(t)
		}
		conds = append(conds, `r.type = ANY(`+p.add(types)+`)`)
	}
	if !f.StartedFrom.IsZero() {
		conds = append(conds, `r.started_at >= `+p.add(at(f.StartedFrom)))
	}
	if !f.StartedTo.IsZero() {
		conds = append(conds, `r.started_at <= `+p.add(at(f.StartedTo)))
	}
	if !f.FinishedFrom.IsZero() {
		conds = append(conds, `r.finished_at >= `+p.add(at(f.FinishedFrom)))
	}
	if !f.FinishedTo.IsZero() {
		conds = append(conds, `r.finished_at <= `+p.add(at(f.FinishedTo)))
	}
	if t := f.WebhookContains; t != "" {
		conds = append(conds, contains(webhookContains, t, p))
	}
	if t := f.AttemptsContains; t != "" {
		conds = append(conds, contains(attemptsContains, t, p))
	}
	return strings.Join(conds, ` AND `)
}

// contains puts the searched text into a condition: TEXT where columns are text,
// BYTES where they are bytes.
func contains(cond, text string, p *parameters) string {
	return strings.NewReplacer(`TEXT`, p.add(wrap(text))+`::text`, `BYTES`, p.add([]byte(text))+`::bytea`).Replace(cond)
}

const webhookContains = `EXISTS (
	SELECT 1 FROM hookswitch_events AS e WHERE e.seq = r.seq AND (
		strpos(e.id, TEXT) > 0 OR strpos(e.type, TEXT) > 0 OR strpos(e.occurred_at, TEXT) > 0
		OR position(BYTES IN CASE WHEN e.payload_len < 0 THEN e.body ELSE substring(e.body FROM e.payload_off + 1 FOR e.payload_len) END) > 0))`

// A header is searched as "Name: value", not as the JSON it is kept in.
const attemptsContains = `EXISTS (
	SELECT 1 FROM hookswitch_jobs AS j JOIN hookswitch_attempts AS a ON a.job_id = j.id
	WHERE j.event_seq = r.seq AND (
		strpos(a.request_url, TEXT) > 0 OR strpos(a.error, TEXT) > 0
		OR EXISTS (SELECT 1 FROM jsonb_array_elements_text(a.error_codes::jsonb) AS c WHERE strpos(c, TEXT) > 0)
		OR EXISTS (SELECT 1 FROM jsonb_array_elements(a.request_header::jsonb) AS h WHERE strpos((h ->> 0) || ': ' || (h ->> 1), TEXT) > 0)
		OR EXISTS (SELECT 1 FROM jsonb_array_elements(a.response_header::jsonb) AS h WHERE strpos((h ->> 0) || ': ' || (h ->> 1), TEXT) > 0)
		OR position(BYTES IN a.response_body) > 0))`
