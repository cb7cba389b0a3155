package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// A group is bounded so that its first operation does not wait for too many
// others, and the log does not grow without limit in one transaction.
const (
	maxGroupOps   = 1024
	maxGroupBytes = 8 << 20
)

// op is one change that a caller waits for.
type op struct {
	batch.Op

	// run makes the change inside the group's transaction. It may be called
	// again after a rollback, and keeps results for the waiting caller in
	// variables of its own, which the answer hands over.
	run func(*writer) error

	// committed, unless nil, is called by the writer when the change is on
	// disk, even if the caller no longer waits.
	committed func()

	// purpose decides which part of the disk it may use; jobs is how many an
	// event will have, whose results need room too.
	purpose purpose
	jobs    int

	// behind is set if run also knows what is not in the tables yet. Before any
	// other operation they catch up.
	behind bool

	// nudge is set for an operation that does nothing: see writer.keepUp.
	nudge bool
}

// add is write for a change that adds an event with jobs: it fails if the disk has no
// room for more. committed may be nil.
func (db *DB) add(ctx context.Context, name string, size, jobs int, run func(*writer) error, committed func()) error {
	return db.submit(ctx, name, &op{Op: batch.NewOp(size), run: run, committed: committed, purpose: forEvent, jobs: jobs})
}

// write hands a change to the writer and returns after its commit. If ctx ends earlier
// it returns at once: a change not yet taken into a group is then not made at all, one
// that was may be.
func (db *DB) write(ctx context.Context, name string, size int, run func(*writer) error) error {
	return db.submit(ctx, name, &op{Op: batch.NewOp(size), run: run})
}

func (db *DB) submit(ctx context.Context, name string, o *op) error {
	err := db.queue.Do(ctx, o)
	left, gone := errors.AsType[*batch.Left](err)
	switch {
	case gone:
		return fmt.Errorf("sqlite: %s: %w", name, left)
	case err == nil, err == store.ErrClosed, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrStale):
		return err
	}
	return db.explain(name, err)
}

// commitFunc ends a transaction; it is a seam for tests.
type commitFunc func(*sql.Conn) error

func commit(conn *sql.Conn) error {
	_, err := conn.ExecContext(context.Background(), `COMMIT`)
	return err
}

// writer makes all changes, on one connection, from one goroutine: loop. All
// its fields belong to that goroutine.
type writer struct {
	db     *DB
	conn   *sql.Conn
	commit commitFunc

	insertEvent, insertRecord, insertJob   *sql.Stmt
	insertAttempt, updateJob, updateRecord *sql.Stmt
	job, pullNext, laneDue, putOff         *sql.Stmt
	saveRoute, ping                        *sql.Stmt

	countDuplicate, lastNumbers          *sql.Stmt
	insertRow, deleteRows                *sql.Stmt
	indexEvents, indexRecords, indexJobs *sql.Stmt

	stmts []*sql.Stmt // all of them

	behind     behind
	indexAfter time.Duration // see there
	maxBytes   int           // as maxBehindBytes
	stuck      bool          // the tables could not be brought up to date
	nudge      *time.Timer   // of keepUp; nil before the first

	dataVersion *sql.Stmt
	version     int64  // the last dataVersion: it changes when another process has written
	latest      latest // of this process
}

func (w *writer) prepare(ctx context.Context) error {
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&w.insertEvent, insertEvent},
		{&w.insertRecord, insertRecord},
		{&w.insertJob, insertJob},
		{&w.insertAttempt, insertAttempt},
		{&w.updateJob, updateJob},
		{&w.updateRecord, updateRecord},
		{&w.pullNext, pullNext},
		{&w.laneDue, laneDue},
		{&w.putOff, putOff},
		{&w.job, selectJob},
		{&w.saveRoute, upsertRoute},
		{&w.countDuplicate, countDuplicate},
		{&w.lastNumbers, lastNumbers},
		{&w.insertRow, insertRow},
		{&w.deleteRows, deleteRows},
		{&w.indexEvents, indexEvent},
		{&w.indexRecords, indexRecord},
		{&w.indexJobs, indexJob},
		{&w.dataVersion, `PRAGMA data_version`},
		{&w.ping, `INSERT INTO ping VALUES (1, 1) ON CONFLICT DO UPDATE SET n = n + 1`},
	} {
		var err error
		if *s.stmt, err = w.conn.PrepareContext(ctx, s.text); err != nil {
			return err
		}
		w.stmts = append(w.stmts, *s.stmt)
	}
	return w.beginLife(ctx)
}

// close frees the connection. Statements prepared on a sql.Conn are not closed
// with it, and SQLite keeps a connection with open statements half alive: the
// log would never be moved into the database.
func (w *writer) close() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// write makes the changes of a group durable, in this order:
//
//  1. begin a transaction;
//  2. run every operation in it;
//  3. commit, which syncs the log: the safe point. A crash before it loses the
//     whole group, none of which was acknowledged; a crash after it loses
//     nothing, because SQLite replays the log when the store is opened;
//  4. answer.
//
// If one operation fails the others must not suffer: the transaction is rolled
// back and run again with a savepoint around each. That is rare, so the usual
// path does not pay for savepoints.
func (w *writer) write(group []*op) {
	defer w.keepUp()
	group = slices.DeleteFunc(group, func(o *op) bool {
		if o.nudge {
			o.Answer(nil)
		}
		return o.nudge
	})
	group, events := w.intact(group)
	group = w.admit(group)
	if len(group) == 0 {
		return
	}
	// What the others change they find in the tables, and what is added after them
	// is behind.
	slices.SortStableFunc(group, func(a, b *op) int { return cmp.Compare(rank(a), rank(b)) })
	n := slices.IndexFunc(group, func(o *op) bool { return o.behind })
	if w.stuck && n > 0 {
		w.commitGroup(group[:n], events) // results do not wait for the tables
		group = group[n:]
	}
	w.commitGroup(group, events)
}

// commitGroup is write for operations that there is room for. events is set if some
// of the group add events.
func (w *writer) commitGroup(group []*op, events bool) {
	errs := make([]error, len(group))
	err := w.transact(group, errs, false)
	if err == errOperation && len(group) > 1 {
		err = w.transact(group, errs, true)
	}
	if err != nil && err != errOperation {
		w.db.log.Error("store commit failed", "code", telemetry.CodeCommitFailed, "operations", len(group), "error", err)
	}
	var lost error
	if events {
		lost = w.db.Intact()
	}
	if w.behind.doubt || lost != nil {
		w.db.forgetAhead() // what has landed all the same is only in the database
	}
	for i, o := range group {
		if errs[i] == nil {
			errs[i] = err
		}
		if o.purpose == forEvent && errs[i] == nil {
			errs[i] = lost // nothing is acknowledged into a file that is gone
		}
		if errs[i] == nil && o.committed != nil {
			o.committed()
		}
		o.Answer(errs[i])
	}
}

func rank(o *op) int {
	if o.behind {
		return 1
	}
	return 0
}

// errOperation means that an operation failed, which has its own error.
var errOperation = errors.New("an operation of the same group failed")

// transact runs a group in one transaction. Guarded, it keeps the operations that
// succeed and puts the errors of the others into errs; unguarded, the first failure
// undoes everything and it returns errOperation. An empty group brings the tables up
// to date by a step.
func (w *writer) transact(group []*op, errs []error, guarded bool) (err error) {
	if err := w.begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	b := &w.behind
	before, at := w.latest, b.mark()
	b.begin()
	defer func() {
		if err != nil {
			w.latest = before
			b.rolledBack(at)
			// If the commit landed although it reported failure there is
			// nothing to roll back, and that error does not matter.
			w.exec(`ROLLBACK`)
		}
	}()
	if err := w.look(); err != nil {
		return fmt.Errorf("look for changes by others: %w", err)
	}
	if err := w.prepareTables(group); err != nil {
		return fmt.Errorf("bring the tables up to date: %w", err)
	}
	for i, o := range group {
		if !guarded {
			if errs[i] = o.run(w); errs[i] != nil {
				return errOperation
			}
			continue
		}
		if errs[i], err = w.guard(o); err != nil {
			return err
		}
	}
	if b.open != nil {
		if _, err := w.insertRow.Exec(b.open.n, len(b.open.events), sealRow(b.data)); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	began := time.Now()
	err = w.commit(w.conn)
	if w.db.onCommit != nil {
		w.db.onCommit(time.Since(began), err)
	}
	if err != nil {
		w.mayHaveLanded()
		return fmt.Errorf("commit: %w", err)
	}
	w.landed()
	return nil
}

// prepareTables brings the tables as far up to date as a group needs.
func (w *writer) prepareTables(group []*op) error {
	b := &w.behind
	switch {
	case len(group) == 0:
		return w.index(indexGroup)
	case !group[0].behind:
		b.nextSeq, b.nextJob = 0, 0 // it may add some
		return w.index(maxBehind)
	case !slices.ContainsFunc(group, func(o *op) bool { return o.purpose == forEvent }):
		return nil
	case w.stuck:
		return w.index(maxBehind) // no event is accepted into a store that cannot be read
	case b.full(w.maxBytes):
		return w.index(indexGroup)
	}
	return nil
}

// landed is for after a commit.
func (w *writer) landed() {
	b := &w.behind
	if b.open != nil {
		b.last = b.open.n
	}
	reloaded := b.reloaded
	b.committed()
	b.doubt, b.reloaded = false, false
	indexed := b.last
	if len(b.rows) > 0 {
		indexed = b.rows[0].n - 1
	}
	w.db.journaled.Store(b.last)
	w.db.indexed.Store(indexed)
	if reloaded {
		w.db.forgetAhead()
	}
}

// mayHaveLanded is for after a commit that failed: what has landed all the same is
// only on the disk, and read from there in the next transaction.
func (w *writer) mayHaveLanded() {
	b := &w.behind
	if b.open != nil {
		b.last = b.open.n
	}
	b.last++ // whatever comes is later
	b.doubt = true
	w.db.journaled.Store(b.last)
}

// begin starts a transaction, even when an earlier one could not be ended.
func (w *writer) begin() error {
	err := w.exec(`BEGIN IMMEDIATE`)
	if err != nil && w.exec(`ROLLBACK`) == nil {
		err = w.exec(`BEGIN IMMEDIATE`)
	}
	return err
}

// guard runs one operation so that its failure can be undone alone. opErr is that
// failure; err means that the transaction is lost.
func (w *writer) guard(o *op) (opErr, err error) {
	if err := w.exec(`SAVEPOINT op`); err != nil {
		return nil, err
	}
	before, at := w.latest, w.behind.mark()
	if opErr = o.run(w); opErr != nil {
		w.latest = before
		w.behind.back(at)
		if err := w.exec(`ROLLBACK TO op`); err != nil {
			return opErr, err
		}
	}
	return opErr, w.exec(`RELEASE op`)
}

// exec does not take a caller's context: a group belongs to many callers.
func (w *writer) exec(text string) error {
	_, err := w.conn.ExecContext(context.Background(), text)
	return err
}
