package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// Summary describes the contents of a database file.
type Summary struct {
	Schema int   // as PRAGMA user_version counts it
	Events int64 // events in it
}

// Backup writes a consistent copy of the database in the data directory dir to
// file, which must not exist, and syncs it. The store may be open in another
// process, which keeps accepting: the copy holds every event acknowledged before
// Backup was called. Meanwhile the log (events.db-wal) cannot be reset and grows.
//
// VACUUM INTO reads one snapshot. SQLite's backup API would restart at each change
// by another process, so beside a busy sidecar it would never end.
func Backup(ctx context.Context, dir, file string) (s Summary, err error) {
	path, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return s, fmt.Errorf("sqlite: back up %s: %w", dir, err)
	}
	// The driver would only report that the file cannot be opened.
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("sqlite: back up: there is no store in %s yet, or it is in another directory: check HOOKSWITCH_STORE", filepath.Dir(path))
	} else if err != nil {
		return s, fmt.Errorf("sqlite: back up: %w", err)
	}
	if file, err = filepath.Abs(file); err != nil {
		return s, fmt.Errorf("sqlite: back up %s: %w", dir, err)
	}
	db := &DB{path: path}
	conn, closeConn, err := openCopy(ctx, path, url.Values{"mode": {"rw"}}) // "ro" cannot make the log's index, which a killed sidecar needs
	if err != nil {
		return s, db.explain("back up", err)
	}
	defer closeConn()
	out, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite would let everybody read it
	if err != nil {
		return s, fmt.Errorf("sqlite: back up: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := conn.ExecContext(ctx, `VACUUM INTO ?`, file); err != nil {
		db.path = file
		return s, db.explain("back up "+path, err)
	}
	if err := out.Sync(); err != nil { // VACUUM INTO does not
		return s, fmt.Errorf("sqlite: back up: sync %s: %w", file, err)
	}
	return Inspect(ctx, file)
}

// Inspect reads every page of a database file that no process writes, and
// summarises it. It fails if the file is damaged, or was written by a newer version
// of the program.
func Inspect(ctx context.Context, file string) (s Summary, err error) {
	db := &DB{path: file}
	if file, err = filepath.Abs(file); err != nil {
		return s, db.explain("inspect", err)
	}
	conn, closeConn, err := openCopy(ctx, file, url.Values{"mode": {"ro"}, "immutable": {"1"}}) // a backup may be on a read-only medium
	if err != nil {
		return s, db.explain("inspect", err)
	}
	defer closeConn()
	var verdict string
	if err := conn.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return s, db.explain("inspect", err)
	}
	if verdict != "ok" {
		return s, db.explain("inspect", &damagedError{verdict})
	}
	if err := conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&s.Schema); err != nil {
		return s, db.explain("inspect", err)
	}
	if s.Schema < 1 || s.Schema > len(migrations) {
		return s, fmt.Errorf("sqlite: inspect: %s has schema %d, and this program knows 1 to %d: use the version that wrote it", file, s.Schema, len(migrations))
	}
	events := `SELECT count(*) FROM events`
	if s.Schema >= journalSchema {
		events = `SELECT (SELECT count(*) FROM events) + (SELECT ifnull(sum(events), 0) FROM journal)`
	}
	if err := conn.QueryRowContext(ctx, events).Scan(&s.Events); err != nil {
		return s, db.explain("inspect", err)
	}
	return s, nil
}

// openCopy opens one connection that only changes what SQLite needs to read a
// database with its log.
func openCopy(ctx context.Context, path string, how url.Values) (*sql.Conn, func(), error) {
	how.Set("_busy_timeout", "30000")
	how.Set("_pragma", "wal_autocheckpoint(0)")
	pool, err := sql.Open("sqlite", dsn(path, "", how))
	if err != nil {
		return nil, nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return conn, func() { conn.Close(); pool.Close() }, nil
}
