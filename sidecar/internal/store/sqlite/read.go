package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/row"
)

// queries are the reads of the dispatch loop, which runs them all the time.
// They are safe for concurrent use.
type queries struct {
	waitingJobs, eventsBySeq *sql.Stmt
}

func (q *queries) prepare(ctx context.Context, db *sql.DB) (err error) {
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&q.waitingJobs, waitingJobs},
		{&q.eventsBySeq, `SELECT ` + eventColumns + ` FROM events WHERE seq IN (SELECT value FROM json_each(?))`},
	} {
		if *s.stmt, err = db.PrepareContext(ctx, s.text); err != nil {
			return err
		}
	}
	return nil
}

// selectByID compares in lower case, as the indexes do, and for anything but a UUID
// also as spelled. A delivery's own id goes first. The id of an event is in its key,
// see webhook.Event.Key, or else in events_id.
const selectByID = `
SELECT seq FROM (
	SELECT 0 AS rank, seq FROM events
	WHERE lower(delivery_id) = lower(?1) AND (?2 OR delivery_id = ?1)
	UNION ALL
	SELECT 1 AS rank, seq FROM events
	WHERE key = 'id:' || lower(?1) AND lower(id) = lower(?1) AND id <> '' AND (?2 OR id = ?1)
	UNION ALL
	SELECT 1 AS rank, seq FROM events
	WHERE lower(id) = lower(?1) AND id <> '' AND key <> 'id:' || lower(id) AND (?2 OR id = ?1)
)
ORDER BY rank, seq DESC LIMIT 1`

// Delivery implements [store.Store]. If several events have the id, it returns the
// newest.
func (db *DB) Delivery(ctx context.Context, id string) (*store.Delivery, error) {
	var found []store.Delivery
	err := db.read(ctx, "delivery", func(tx *sql.Tx) error {
		seqs, err := seqsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(seqs) == 0 {
			return fmt.Errorf("%w: no delivery or event has the id %q", store.ErrNotFound, id)
		}
		found, err = loadDeliveries(ctx, tx, seqs, whole)
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
	where, args := filterSQL(f)
	limit := f.Limit
	if limit <= 0 {
		limit = -1 // SQLite's "no limit"
	}
	err = db.read(ctx, "deliveries", func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM records WHERE `+where, args...).Scan(&total); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT seq FROM records WHERE `+where+`
			ORDER BY seq DESC LIMIT ? OFFSET ?`, append(args[:len(args):len(args)], limit, max(f.Offset, 0))...)
		if err != nil {
			return err
		}
		seqs, err := collect(rows, scanSeq)
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

// read runs fn in a transaction, so that all its queries see one state, with all that
// was committed before.
func (db *DB) read(ctx context.Context, operation string, fn func(*sql.Tx) error) error {
	if err := db.catchUpPatiently(ctx, operation); err != nil {
		return err
	}
	return db.peek(ctx, operation, fn)
}

// peek is read for what is in the tables already.
func (db *DB) peek(ctx context.Context, operation string, fn func(*sql.Tx) error) error {
	if db.closed() {
		return store.ErrClosed
	}
	tx, err := db.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return db.readError(operation, err)
	}
	defer tx.Rollback() // there is nothing to commit
	if err := fn(tx); err != nil {
		return db.readError(operation, err)
	}
	return nil
}

// detail selects how much of a delivery is loaded.
type detail struct {
	eventColumns string // of scanEvent
	attempts     string // condition on attempts and jobs
}

var (
	whole = detail{eventColumns, `true`}

	// summary leaves out the wide columns, with which a list of large events
	// would fill the memory, and all attempts but the latest.
	summary = detail{summaryColumns, `attempts.n = jobs.attempts`}
)

// loadDeliveries returns the deliveries of events in the order of seqs, without those
// of which only jobs can be read.
func loadDeliveries(ctx context.Context, tx *sql.Tx, seqs []int64, d detail) ([]store.Delivery, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	list := jsonList(seqs)
	rows, err := tx.QueryContext(ctx, `SELECT `+d.eventColumns+` FROM events
		WHERE seq IN (SELECT value FROM json_each(?))`, list)
	if err != nil {
		return nil, err
	}
	events, err := collect(rows, scanEvent)
	if err != nil {
		return nil, err
	}
	out := row.NewDeliveries(seqs)
	out.Events(events)

	rows, err = tx.QueryContext(ctx, `SELECT `+jobColumns+` FROM jobs
		WHERE event_seq IN (SELECT value FROM json_each(?)) ORDER BY id`, list)
	if err != nil {
		return nil, err
	}
	jobs, err := collect(rows, func(rows *sql.Rows) (delivery.Job, error) { return scanJob(rows) })
	if err != nil {
		return nil, err
	}
	out.Jobs(jobs)

	rows, err = tx.QueryContext(ctx, `SELECT `+attemptColumns+`, jobs.target, jobs.event_seq
		FROM jobs JOIN attempts ON attempts.job_id = jobs.id
		WHERE jobs.event_seq IN (SELECT value FROM json_each(?)) AND `+d.attempts+`
		ORDER BY attempts.started_at DESC, attempts.job_id DESC, attempts.n DESC`, list)
	if err != nil {
		return nil, err
	}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
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

// Routes implements [store.Store].
func (db *DB) Routes(ctx context.Context) (routes []store.Route, err error) {
	err = db.read(ctx, "routes", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT target, patterns FROM routes ORDER BY target`)
		if err != nil {
			return err
		}
		routes, err = collect(rows, func(rows *sql.Rows) (r store.Route, err error) {
			var patterns []byte
			if err := rows.Scan(&r.Target, &patterns); err != nil {
				return r, err
			}
			return r, row.DecodeRoute(&r, patterns)
		})
		return err
	})
	return routes, err
}

// Backlog implements [store.Store].
func (db *DB) Backlog(ctx context.Context) (map[string]int, error) {
	backlog := make(map[string]int)
	err := db.read(ctx, "backlog", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT target, count(*) FROM jobs WHERE state = 'pending' GROUP BY target`)
		if err != nil {
			return err
		}
		_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
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

func scanSeq(rows *sql.Rows) (seq int64, err error) {
	err = rows.Scan(&seq)
	return seq, err
}

const jobColumns = `id, event_seq, target, state, attempts, next_at, round, base, round_at, was`

// scanJob reads jobColumns and then more.
func scanJob(rows *sql.Rows, more ...any) (j delivery.Job, err error) {
	var due, round sql.NullInt64
	err = rows.Scan(append([]any{
		&j.ID, &j.EventSeq, &j.Target, &j.State, &j.Attempts, &due, &j.Round, &j.Base, &round, &j.Was,
	}, more...)...)
	if j.State == delivery.Pending {
		j.NextAt = fromMicros(due)
	}
	j.RoundAt = fromMicros(round)
	return j, err
}

func collect[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) ([]T, error) {
	defer rows.Close()
	return row.Collect(rows, scan)
}

// jsonList turns a list into one bound parameter, for json_each.
func jsonList[T int64 | string](list []T) string {
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // integers and strings always have a JSON form
	}
	return string(b)
}
