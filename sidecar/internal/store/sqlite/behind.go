package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// An event, and the result of an attempt at it, are first a record in the journal,
// which costs a commit little. The tables follow behind: most events have ended
// by then, and are written once, in their final state, many in one commit. A row
// of the journal is removed in the commit that brings what it says into the tables;
// so it is always clear which of the two has an event, whatever happens in between.
//
// What the tables do not have yet is also in memory, in behind, and only the writer
// knows it. Everybody else reads the tables, after they have caught up: see
// DB.catchUp. So do all operations but these: Accept of an event that has no
// entity, Finish, Prune and SaveRoute.
const (
	// The tables are brought up to date when so many events are behind, or so many
	// bytes of them, or the first has been for so long. The bytes are twice in the
	// file meanwhile.
	indexEvents = 2048
	indexBytes  = 2 << 20
	indexAfter  = 500 * time.Millisecond

	// So many events are brought into the tables in one commit: accepts wait
	// for it.
	indexGroup = 256

	// More events, or bytes of them, are not behind; on a small disk fewer bytes.
	maxBehind      = 8192
	maxBehindBytes = 16 << 20
)

// behind is what the journal has and the tables have not. The writer owns it.
type behind struct {
	rows   []*journalRow          // committed, oldest first
	events map[string]*freshEvent // by key
	jobs   map[int64]*freshJob
	bytes  int
	last   int64 // the number of the latest row

	nextSeq, nextJob int64 // 0: unknown

	// Of the transaction under way:
	open    *journalRow // gets what is added
	data    []byte      // of open
	undo    []undo
	applied int // so many of rows are in the tables

	doubt    bool // a commit failed, and may have landed all the same: see recover
	reloaded bool // by recover
}

// journalRow is a row of the journal.
type journalRow struct {
	n      int64
	events []*freshEvent
	bytes  int
	at     time.Time
	gone   bool // brought into the tables, in the transaction under way or before
}

// freshEvent is an event that is not in the tables.
type freshEvent struct {
	key        string
	seq        int64
	deliveryID string
	args       []any // of insertEvent
	duplicates int64
	kind       string // the event type
	received   int64
	order      int64
	jobs       []*freshJob
	row        *journalRow
}

// freshJob is a job of a freshEvent. Its jobs have no entity.
type freshJob struct {
	event             *freshEvent
	id                int64
	target            string
	state             delivery.State
	attempts, lost    int
	next, round       sql.NullInt64
	results           [][]any // arguments of insertAttempt
	started, finished sql.NullInt64
}

// undo is a change in memory that a rollback takes back.
type undo struct {
	event  *freshEvent // added, or received again
	again  bool
	job    *freshJob // changed
	before freshJob
}

// mark is a point in a transaction to go back to.
type mark struct {
	data, undo, events int
	bytes              int
	nextSeq, nextJob   int64
}

func newBehind() behind {
	return behind{events: make(map[string]*freshEvent), jobs: make(map[int64]*freshJob)}
}

func (b *behind) mark() mark {
	m := mark{data: len(b.data), undo: len(b.undo), nextSeq: b.nextSeq, nextJob: b.nextJob}
	if b.open != nil {
		m.events, m.bytes = len(b.open.events), b.open.bytes
	}
	return m
}

// back takes back what was changed since m.
func (b *behind) back(m mark) {
	for i := len(b.undo) - 1; i >= m.undo; i-- {
		switch u := b.undo[i]; {
		case u.job != nil:
			*u.job = u.before
		case u.again:
			u.event.duplicates--
		default:
			delete(b.events, u.event.key)
			for _, j := range u.event.jobs {
				delete(b.jobs, j.id)
			}
		}
	}
	b.undo, b.data, b.nextSeq, b.nextJob = b.undo[:m.undo], b.data[:m.data], m.nextSeq, m.nextJob
	if b.open != nil {
		b.open.events, b.open.bytes = b.open.events[:m.events], m.bytes
	}
}

// begin forgets a transaction that has ended.
func (b *behind) begin() {
	clear(b.undo) // it would keep events in memory
	if cap(b.data) > 1<<20 {
		b.data = nil // it was for unusually large events
	}
	b.open, b.data, b.undo, b.applied = nil, b.data[:0], b.undo[:0], 0
}

// rolledBack takes back all of the transaction, of which m was the beginning.
func (b *behind) rolledBack(m mark) {
	b.back(m)
	for _, r := range b.rows[:b.applied] {
		r.gone = false
	}
	b.begin()
}

// committed forgets what the tables have now.
func (b *behind) committed() {
	for _, r := range b.rows[:b.applied] {
		b.bytes -= r.bytes
		for _, e := range r.events {
			if b.events[e.key] == e {
				delete(b.events, e.key)
			}
			for _, j := range e.jobs {
				if b.jobs[j.id] == j {
					delete(b.jobs, j.id)
				}
			}
		}
	}
	b.rows = slices.Delete(b.rows, 0, b.applied)
	if b.open != nil {
		b.rows = append(b.rows, b.open)
		b.bytes += b.open.bytes
	}
	b.begin()
}

// record appends a record to the row of the transaction.
func (b *behind) record(kind byte, size int, values ...[]any) *journalRow {
	if b.open == nil {
		b.open = &journalRow{n: b.last + 1, at: time.Now()}
		b.data = append(b.data, journalVersion)
	}
	b.open.bytes += size
	b.data = appendRecord(b.data, kind, values...)
	return b.open
}

// full reports whether no more may be behind.
func (b *behind) full(maxBytes int) bool { return len(b.events) >= maxBehind || b.bytes >= maxBytes }

// event returns the event of a key, and job a job, if it is not in the tables.
func (b *behind) event(key string) *freshEvent {
	if e := b.events[key]; e != nil && !e.row.gone {
		return e
	}
	return nil
}

func (b *behind) job(id int64) *freshJob {
	if j := b.jobs[id]; j != nil && !j.event.row.gone {
		return j
	}
	return nil
}

// add makes e known.
func (b *behind) add(e *freshEvent) {
	e.row.events = append(e.row.events, e)
	b.events[e.key] = e
	for _, j := range e.jobs {
		b.jobs[j.id] = j
	}
	b.undo = append(b.undo, undo{event: e})
}

// again counts a duplicate of e.
func (b *behind) again(e *freshEvent) {
	e.duplicates++
	b.undo = append(b.undo, undo{event: e, again: true})
}

// result moves a job by an attempt.
func (b *behind) result(j *freshJob, r result) {
	b.undo = append(b.undo, undo{job: j, before: *j})
	j.state, j.attempts, j.next = r.state, r.n, r.due
	j.lost += r.lost
	j.results = append(j.results, r.args)
	if !j.started.Valid || r.started.Valid && r.started.Int64 < j.started.Int64 {
		j.started = r.started
	}
	if !j.finished.Valid || r.finished.Valid && r.finished.Int64 > j.finished.Int64 {
		j.finished = r.finished
	}
}

// result is what the record of an attempt says.
type result struct {
	jobID             int64
	n, lost           int
	target, delivery  string
	state             delivery.State
	due               sql.NullInt64
	started, finished sql.NullInt64
	args              []any // of insertAttempt
}

// insertBehind stores an event as a record of the journal, or counts the duplicate.
func (n *newEvent) insertBehind(w *writer, targets []string) (got store.Accepted, err error) {
	n.jobs = nil
	b := &w.behind
	if e := b.event(n.e.Key); e != nil {
		b.again(e)
		b.record(recordDuplicate, 64, []any{e.key, e.duplicates})
		n.again, n.count = nil, int(e.duplicates)
		for _, j := range e.jobs {
			n.again = append(n.again, j.id)
		}
		return store.Accepted{Seq: e.seq, DeliveryID: e.deliveryID, Duplicate: true}, nil
	}
	err = w.countDuplicate.QueryRow(n.e.Key).Scan(&got.Seq, &got.DeliveryID)
	if err == nil {
		got.Duplicate = true
		return got, n.receivedAgain(w, got.Seq)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return got, err
	}
	if err := w.numbers(); err != nil {
		return got, err
	}
	e := &freshEvent{
		key: n.e.Key, seq: b.nextSeq, deliveryID: n.deliveryID, args: n.args,
		kind: n.e.Type, received: n.received.Int64, order: n.order,
	}
	b.nextSeq++
	n.e.Seq, n.e.DeliveryID = e.seq, e.deliveryID
	head := []any{e.seq, n.due}
	for i, target := range targets {
		if slices.Contains(targets[:i], target) {
			continue
		}
		j := &freshJob{event: e, id: b.nextJob, target: target, state: delivery.Pending, next: valid(n.due), round: valid(n.due)}
		b.nextJob++
		e.jobs = append(e.jobs, j)
		head = append(head, j.id, j.target)
		n.jobs = append(n.jobs, newJob{id: j.id, target: target, due: n.due, first: true})
	}
	e.row = b.record(recordEvent, n.size, head[:2], []any{len(e.jobs)}, head[2:], n.args)
	b.add(e)
	return store.Accepted{Seq: e.seq, DeliveryID: e.deliveryID}, nil
}

func valid(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: true} }

// numbers makes sure that the next numbers of events and jobs are known: those
// after all that are in the tables, in which the numbers of removed events count,
// and behind.
func (w *writer) numbers() error {
	b := &w.behind
	if b.nextSeq > 0 {
		return nil
	}
	if err := w.lastNumbers.QueryRow().Scan(&b.nextSeq, &b.nextJob); err != nil {
		b.nextSeq, b.nextJob = 0, 0
		return err
	}
	b.nextSeq++
	b.nextJob++
	for _, e := range b.events {
		b.nextSeq = max(b.nextSeq, e.seq+1)
	}
	for id := range b.jobs {
		b.nextJob = max(b.nextJob, id+1)
	}
	return nil
}

// finishBehind is finish for a job that is not in the tables.
func (w *writer) finishBehind(j *freshJob, r result) (next int64, err error) {
	for _, args := range j.results {
		if args[1].(int) == r.n {
			return unknown, nil // it was recorded before
		}
	}
	if r.state != delivery.Pending && r.state != delivery.Done && r.state != delivery.Dead {
		return unknown, fmt.Errorf("an attempt cannot end with the state %q", r.state) // the tables would refuse it later
	}
	if j.state != delivery.Pending || r.n <= j.attempts {
		return unknown, stale(r, string(j.state), j.attempts)
	}
	b := &w.behind
	b.record(recordAttempt, attemptSize(r.args), []any{r.target, r.delivery, string(r.state), r.due, r.lost}, r.args)
	b.result(j, r)
	if r.due.Valid {
		return r.due.Int64, nil
	}
	return never, nil
}

func stale(r result, state string, attempts int) error {
	return fmt.Errorf("%w: job %d is %s after %d attempts, this is attempt %d", store.ErrStale, r.jobID, state, attempts, r.n)
}

// attemptSize is about how many bytes an attempt holds.
func attemptSize(args []any) (size int) {
	for _, v := range args {
		switch v := v.(type) {
		case sql.NullString:
			size += len(v.String)
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		}
	}
	return size + 256
}

// catchUp returns when the tables have all that was committed before it was
// called.
func (db *DB) catchUp(ctx context.Context, operation string) error {
	if db.closed() {
		return store.ErrClosed
	}
	if db.indexed.Load() >= db.journaled.Load() {
		return nil
	}
	return db.write(ctx, operation, 0, func(*writer) error { return nil })
}

// patience is how long a reader waits for the tables to catch up. If they cannot, such
// as while the disk hangs, it reads what they have: an operator needs that then, and
// the failed commits are told elsewhere.
const patience = 5 * time.Second

// catchUpPatiently is catchUp for readers.
func (db *DB) catchUpPatiently(ctx context.Context, operation string) error {
	short, cancel := context.WithTimeout(ctx, db.patience)
	defer cancel()
	if err := db.catchUp(short, operation); err == store.ErrClosed {
		return err
	}
	return nil // should ctx have ended, the query says so
}
