package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	countDuplicate = `UPDATE events SET duplicates = duplicates + 1 WHERE key = ? RETURNING seq, delivery_id`

	lastNumbers = `
SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), ifnull((SELECT max(id) FROM jobs), 0)`

	insertRow  = `INSERT INTO journal (n, events, data) VALUES (?, ?, ?)`
	deleteRows = `DELETE FROM journal WHERE n <= ?`

	indexEvent = `
INSERT INTO events (seq, duplicates, key, delivery_id, id, type, occurred_at, received_at, method, path,
	remote_addr, key_label, signed_at, payload_off, payload_len, header, body, entity, order_at, traceparent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	indexRecord = `
INSERT INTO records (seq, type, received_at, handled, status, started_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?)`

	indexJob = `
INSERT INTO jobs (id, event_seq, target, state, attempts, next_at, entity, order_at, base, round_at)
VALUES (?, ?, ?, ?, ?, ?, '', ?, ?, ?)`
)

// index brings rows of the journal into the tables, oldest first, until that were
// limit events or all.
func (w *writer) index(limit int) error {
	b := &w.behind
	before := b.applied
	for n := 0; n < limit && b.applied < len(b.rows); b.applied++ {
		r := b.rows[b.applied]
		for _, e := range r.events {
			if err := w.indexEvent(e); err != nil {
				return err
			}
		}
		r.gone = true
		n += len(r.events)
	}
	if b.applied == before {
		return nil
	}
	_, err := w.deleteRows.Exec(b.rows[b.applied-1].n)
	return err
}

// indexEvent writes an event into the tables, in the state in which it is.
func (w *writer) indexEvent(e *freshEvent) error {
	if _, err := w.indexEvents.Exec(append([]any{e.seq, e.duplicates}, e.args...)...); err != nil {
		return err
	}
	if e.seq > w.latest.seq {
		w.latest = latest{e.seq, e.deliveryID}
	}
	var started, finished sql.NullInt64
	var status any
	if len(e.jobs) > 0 {
		status = "delivered"
	}
	for _, j := range e.jobs {
		if _, err := w.indexJobs.Exec(j.id, e.seq, j.target, string(j.state), j.attempts, j.next, e.order, j.lost, j.round); err != nil {
			return err
		}
		for _, args := range j.results {
			if _, err := w.insertAttempt.Exec(args...); err != nil {
				return err
			}
		}
		switch {
		case j.state == delivery.Pending:
			status = nil
		case j.state != delivery.Done && status != nil:
			status = "failed"
		}
		if j.started.Valid && (!started.Valid || j.started.Int64 < started.Int64) {
			started = j.started
		}
		if j.finished.Valid && (!finished.Valid || j.finished.Int64 > finished.Int64) {
			finished = j.finished
		}
	}
	_, err := w.indexRecords.Exec(e.seq, e.kind, e.received, len(e.jobs) > 0, status, started, finished)
	return err
}

// recover reads what is behind from the disk, instead of what is in memory: at the
// start, after a commit of which it is not known whether it landed, and when the
// database was restored. It changes nothing.
func (w *writer) recover() error {
	b := &w.behind
	*b = behind{last: b.last, doubt: true, reloaded: true, events: make(map[string]*freshEvent), jobs: make(map[int64]*freshJob)}
	rows, err := w.conn.QueryContext(context.Background(), `SELECT n, data FROM journal ORDER BY n`)
	if err != nil {
		return err
	}
	type read struct {
		n    int64
		data []byte
	}
	all, err := collect(rows, func(rows *sql.Rows) (r read, err error) {
		err = rows.Scan(&r.n, &r.data)
		return r, err
	})
	if err != nil {
		return err
	}
	for _, r := range all {
		records, err := readRow(r.data)
		if err != nil {
			return &damagedError{fmt.Sprintf("%v: number %d", err, r.n)}
		}
		row := &journalRow{n: r.n, bytes: len(r.data), at: time.Now()}
		b.rows, b.bytes, b.last = append(b.rows, row), b.bytes+row.bytes, max(b.last, r.n)
		for _, rec := range records {
			if err := w.replay(row, rec); err != nil {
				return fmt.Errorf("row %d of the journal: %w", r.n, err)
			}
		}
	}
	b.begin()
	return nil
}

// replay reads a record of the journal. What a record says about an event of an
// earlier row, which is in the tables already, is in the tables too: the event was
// brought there in the state in which it was.
func (w *writer) replay(row *journalRow, rec record) error {
	f := &fields{values: rec.values}
	b := &w.behind
	switch rec.kind {
	case recordEvent:
		e := readEvent(f)
		if f.bad {
			return errDamagedRow
		}
		e.row = row
		var there bool
		err := w.conn.QueryRowContext(context.Background(), `SELECT EXISTS (SELECT 1 FROM events WHERE key = ? OR seq = ?)`, e.key, e.seq).Scan(&there)
		if err != nil || there {
			return err
		}
		b.add(e)
	case recordDuplicate:
		key, n := f.text(), f.integer()
		if f.bad {
			return errDamagedRow
		}
		if e := b.event(key); e != nil {
			e.duplicates = n
		}
	case recordAttempt:
		r := readResult(f)
		if f.bad {
			return errDamagedRow
		}
		if j := b.job(r.jobID); j != nil && j.target == r.target && j.event.deliveryID == r.delivery {
			b.result(j, r)
		}
	default:
		return errDamagedRow
	}
	return nil
}

// readEvent reads what insertBehind wrote.
func readEvent(f *fields) *freshEvent {
	e := &freshEvent{seq: f.integer()}
	due := f.integer()
	for range min(f.number(), len(f.values)) {
		j := &freshJob{event: e, id: f.integer(), target: f.text(), state: delivery.Pending, next: valid(due), round: valid(due)}
		e.jobs = append(e.jobs, j)
	}
	e.args = f.values
	if len(e.args) != eventArgs {
		f.bad = true
		return e
	}
	e.key, e.deliveryID = f.text(), f.text()
	_, e.kind, _ = f.text(), f.text(), f.text()
	received := f.maybe()
	e.received, e.order = received.Int64, received.Int64
	return e
}

// readResult reads what finishBehind wrote.
func readResult(f *fields) result {
	r := result{target: f.text(), delivery: f.text(), state: delivery.State(f.text()), due: f.maybe(), lost: f.number()}
	r.args = f.values
	if len(r.args) != attemptArgs {
		f.bad = true
		return r
	}
	r.jobID, r.n = f.integer(), f.number()
	r.started, r.finished = f.maybe(), f.maybe()
	r.args[1] = r.n
	return r
}

// keepUp brings the tables up to date as far as it is time for that, and looks again
// later if it is not.
func (w *writer) keepUp() {
	b := &w.behind
	for len(b.rows) > 0 || b.doubt {
		wait := w.indexAfter - time.Since(b.firstAt())
		if len(b.events) < indexEvents && b.bytes < min(indexBytes, w.maxBytes/2) && wait > 0 && !b.doubt {
			w.nudgeAfter(wait)
			return
		}
		if err := w.transact(nil, nil, false); err != nil {
			if !w.stuck {
				w.db.log.Error("store commit failed: what was accepted is safe in the journal, and the tables follow when they can; until then no event is accepted", "code", telemetry.CodeCommitFailed, "operations", 0, "error", err)
			}
			w.stuck = true
			w.nudgeAfter(time.Second)
			return
		}
		w.stuck = false
		if w.db.queue.Waiting() > 0 && !b.full(w.maxBytes) {
			w.nudgeAfter(w.indexAfter) // the next group calls this again
			return
		}
	}
}

func (b *behind) firstAt() time.Time {
	if len(b.rows) == 0 {
		return time.Time{}
	}
	return b.rows[0].at
}

// nudgeAfter calls keepUp after a while, unless a group does before.
func (w *writer) nudgeAfter(d time.Duration) {
	if w.nudge == nil {
		w.nudge = time.AfterFunc(d, func() {
			_ = w.db.queue.Do(context.Background(), &op{Op: batch.NewOp(0), nudge: true})
		})
		return
	}
	w.nudge.Reset(d)
}

// settle brings all into the tables when the store is closed. If that fails, the next
// start does it.
func (w *writer) settle() {
	if w.nudge != nil {
		w.nudge.Stop()
	}
	if w.db.Intact() != nil {
		return // the files are not ours
	}
	for len(w.behind.rows) > 0 || w.behind.doubt {
		if err := w.transact(nil, nil, false); err != nil {
			w.db.log.Warn("the journal was not brought into the tables: the next start does it", "code", telemetry.CodeCommitFailed, "error", err)
			return
		}
	}
}
