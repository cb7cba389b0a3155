package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
)

// OpenWithCommit is Open with another way to commit, which usually calls
// Commit, and fails before or after it, counts, or waits.
func OpenWithCommit(ctx context.Context, cfg Config, commit func(*sql.Conn) error) (*DB, error) {
	return open(ctx, cfg, commit)
}

// Commit is what Open uses.
func Commit(conn *sql.Conn) error { return commit(conn) }

// Waiting returns how many operations wait for the next group.
func (db *DB) Waiting() int { return db.queue.Waiting() }

// Plan returns the query plan of the page query that f makes, and of the
// dispatch loop's query for waiting jobs.
func (db *DB) Plan(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := db.readers.QueryContext(ctx, `EXPLAIN QUERY PLAN `+query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (detail string, err error) {
		var ignore int
		err = rows.Scan(&ignore, &ignore, &ignore, &detail)
		return detail, err
	})
}

// The queries whose plans are tested.
const (
	WaitingJobs  = waitingJobs
	SelectByID   = selectByID
	UpdateRecord = updateRecord
)

// FilterSQL returns the condition that a filter becomes.
var FilterSQL = filterSQL

// Pragma returns a setting of the writer's connection.
func (db *DB) Pragma(ctx context.Context, name string) (value string, err error) {
	err = db.writer.conn.QueryRowContext(ctx, `PRAGMA `+name).Scan(&value)
	return value, err
}

// Schema makes a database as the version that knew so many migrations did.
func Schema(n int) string {
	return strings.Join(migrations[:n], "") + fmt.Sprintf("PRAGMA user_version = %d;", n)
}

// Set changes a setting of the writer's connection, before the first write.
func (db *DB) Set(ctx context.Context, pragma string) error {
	_, err := db.writer.conn.ExecContext(ctx, `PRAGMA `+pragma)
	return err
}

// WithDisk returns cfg for a store that takes disk to be the room of its disk.
func (cfg Config) WithDisk(disk func(dir string) (free, total uint64, err error)) Config {
	cfg.disk = disk
	return cfg
}

// WithIndexAfter returns cfg for a store whose tables may be so long behind.
func (cfg Config) WithIndexAfter(d time.Duration) Config {
	cfg.indexAfter = d
	return cfg
}

// WithPatience returns cfg for a store whose readers wait so long for the tables.
func (cfg Config) WithPatience(d time.Duration) Config {
	cfg.patience = d
	return cfg
}

// WaitingJob is a row of a job that waits, as the database has it.
type WaitingJob struct {
	ID, Seq, Due int64
	Entity       string
	First        bool // of its entity
}

// WaitingIn reads the jobs of a target that wait, in the order in which they are due.
func (db *DB) WaitingIn(ctx context.Context, target string) ([]WaitingJob, error) {
	if err := db.catchUp(ctx, "test"); err != nil {
		return nil, err
	}
	rows, err := db.readers.QueryContext(ctx, `
		SELECT id, event_seq, next_at, entity, entity = '' OR event_seq = (
			SELECT b.event_seq FROM jobs AS b WHERE b.target = jobs.target AND b.entity = jobs.entity AND b.state = 'pending'
			ORDER BY b.order_at, b.event_seq LIMIT 1)
		FROM jobs WHERE target = ? AND state = 'pending' ORDER BY next_at, id`, target)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (j WaitingJob, err error) {
		err = rows.Scan(&j.ID, &j.Seq, &j.Due, &j.Entity, &j.First)
		return j, err
	})
}

// InMemory returns how many jobs can be claimed without a query.
func (db *DB) InMemory() int {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	jobs, _ := db.ahead.jobs.Len()
	return jobs
}

// MaxAhead is how many jobs are kept in memory.
const MaxAhead = maxAhead

// Behind returns how many events the journal has and the tables have not.
func (db *DB) Behind() (n int) {
	_ = db.submit(context.Background(), "test", &op{Op: batch.NewOp(0), behind: true, run: func(w *writer) error {
		n = len(w.behind.events)
		return nil
	}})
	return n
}

// KeepUp has the tables follow as if they were too far behind.
func (db *DB) KeepUp() {
	_ = db.submit(context.Background(), "test", &op{Op: batch.NewOp(0), behind: true, run: func(w *writer) error {
		for _, r := range w.behind.rows {
			r.at = time.Time{}
		}
		return nil
	}})
	db.Behind() // in a later group
}
