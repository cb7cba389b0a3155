package sqlite

import (
	"context"
	"database/sql"
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
// dispatch loop's query for due jobs.
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
	DueJobs      = dueJobs
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

// Schema1 is the first migration, with which the databases of the first version
// were made.
func Schema1() string { return migrations[0] + `PRAGMA user_version = 1;` }

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
