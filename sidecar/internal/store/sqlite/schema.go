package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// migrations take a database from schema n to n+1; PRAGMA user_version counts the
// finished ones. Only append: databases in the field have run the rest.
//
// Why the tables are as they are:
//   - events is keyed by a growing integer, so that bodies are appended and
//     only the indexes are in random order.
//   - records has a row for each event with the columns that lists are selected
//     by, apart from events: an update rewrites its whole row, and a list reads
//     many, and neither should be the one with the body.
//   - events_id has the ids that cannot be looked up as keys: those of nearly all
//     events are UUIDs, and their keys are made of them. An index in random order
//     is what a commit writes most pages of.
//   - journal has what is not in the other tables yet, see behind.go; events is how
//     many a row adds.
//   - jobs_entity finds the first pending job of an entity, see claim.go.
//   - times are microseconds since 1970 UTC, NULL when there is none.
var migrations = []string{`
CREATE TABLE events (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT,
	key          TEXT    NOT NULL UNIQUE,
	delivery_id  TEXT    NOT NULL,
	id           TEXT    NOT NULL,
	type         TEXT    NOT NULL,
	occurred_at  TEXT    NOT NULL,
	received_at  INTEGER,
	method       TEXT    NOT NULL,
	path         TEXT    NOT NULL,
	remote_addr  TEXT    NOT NULL,
	key_label    TEXT    NOT NULL,
	signed_at    INTEGER,
	payload_off  INTEGER NOT NULL,
	payload_len  INTEGER NOT NULL,
	duplicates   INTEGER NOT NULL DEFAULT 0,
	header       TEXT,
	body         BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_delivery_id ON events (lower(delivery_id));
CREATE INDEX events_id ON events (lower(id)) WHERE id <> '';

CREATE TABLE jobs (
	id         INTEGER PRIMARY KEY,
	event_seq  INTEGER NOT NULL REFERENCES events (seq),
	target     TEXT    NOT NULL,
	state      TEXT    NOT NULL CHECK (state IN ('pending', 'done', 'dead')),
	attempts   INTEGER NOT NULL DEFAULT 0,
	next_at    INTEGER,
	UNIQUE (event_seq, target)
) STRICT;
CREATE INDEX jobs_due ON jobs (target, next_at) WHERE state = 'pending';

CREATE TABLE attempts (
	job_id          INTEGER NOT NULL REFERENCES jobs (id),
	n               INTEGER NOT NULL,
	started_at      INTEGER,
	finished_at     INTEGER,
	outcome         TEXT    NOT NULL,
	retry_after     INTEGER NOT NULL,
	request_url     TEXT    NOT NULL,
	request_header  TEXT,
	response_status INTEGER NOT NULL,
	response_header TEXT,
	response_body   BLOB,
	error_codes     TEXT,
	error           TEXT    NOT NULL,
	PRIMARY KEY (job_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
	seq         INTEGER PRIMARY KEY REFERENCES events (seq),
	type        TEXT    NOT NULL,
	status      TEXT,    -- 'delivered', 'failed', or NULL while a job is pending
	started_at  INTEGER,
	finished_at INTEGER
) STRICT;
CREATE INDEX records_status ON records (status, seq) WHERE status IS NOT NULL;

CREATE TABLE routes (
	target   TEXT PRIMARY KEY,
	patterns TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ping (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	n   INTEGER NOT NULL
) STRICT;
`, `
ALTER TABLE events ADD COLUMN entity TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN order_at INTEGER;

CREATE TABLE jobs2 (
	id         INTEGER PRIMARY KEY,
	event_seq  INTEGER NOT NULL REFERENCES events (seq),
	target     TEXT    NOT NULL,
	state      TEXT    NOT NULL CHECK (state IN ('pending', 'done', 'dead', 'discarded')),
	attempts   INTEGER NOT NULL DEFAULT 0,
	next_at    INTEGER,
	entity     TEXT    NOT NULL,
	order_at   INTEGER NOT NULL,
	round      INTEGER NOT NULL DEFAULT 0,
	base       INTEGER NOT NULL DEFAULT 0,
	round_at   INTEGER NOT NULL,
	was        TEXT    NOT NULL DEFAULT '',
	UNIQUE (event_seq, target)
) STRICT;
INSERT INTO jobs2 (id, event_seq, target, state, attempts, next_at, entity, order_at, round_at)
SELECT j.id, j.event_seq, j.target, j.state, j.attempts, j.next_at, '', ifnull(e.received_at, 0), ifnull(e.received_at, 0)
FROM jobs AS j JOIN events AS e ON e.seq = j.event_seq;
DROP TABLE jobs;
ALTER TABLE jobs2 RENAME TO jobs;
CREATE INDEX jobs_due ON jobs (target, next_at) WHERE state = 'pending';
CREATE INDEX jobs_open ON jobs (state, event_seq) WHERE state <> 'done';
CREATE INDEX jobs_entity ON jobs (target, entity, order_at, event_seq) WHERE state = 'pending' AND entity <> '';

ALTER TABLE records ADD COLUMN received_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN handled INTEGER NOT NULL DEFAULT 1;
INSERT INTO records (seq, type) SELECT seq, type FROM events WHERE true ON CONFLICT DO NOTHING;
UPDATE records SET
	received_at = (SELECT ifnull(e.received_at, 0) FROM events AS e WHERE e.seq = records.seq),
	handled = EXISTS (SELECT 1 FROM jobs WHERE event_seq = records.seq);
CREATE INDEX records_unhandled ON records (seq) WHERE handled = 0;

CREATE TABLE replays (
	n           INTEGER PRIMARY KEY AUTOINCREMENT,
	id          TEXT    NOT NULL UNIQUE,
	created_at  INTEGER NOT NULL,
	query       TEXT    NOT NULL,
	targets     TEXT    NOT NULL,
	rate        REAL    NOT NULL,
	state       TEXT    NOT NULL,
	total       INTEGER NOT NULL,
	seen        INTEGER NOT NULL DEFAULT 0,
	queued      INTEGER NOT NULL DEFAULT 0,
	skipped     INTEGER NOT NULL DEFAULT 0,
	cursor      INTEGER NOT NULL DEFAULT 0,
	last        INTEGER NOT NULL,
	finished_at INTEGER
) STRICT;
CREATE INDEX replays_running ON replays (n) WHERE state = 'running';
`, `
ALTER TABLE events ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
`, `
DROP INDEX events_id;
CREATE INDEX events_id ON events (lower(id)) WHERE id <> '' AND key <> 'id:' || lower(id);
`, `
CREATE TABLE journal (
	n      INTEGER PRIMARY KEY,
	events INTEGER NOT NULL,
	data   BLOB    NOT NULL
) STRICT;
`}

// journalSchema is the first that has a journal.
const journalSchema = 5

// migrate runs the migrations that the database has not seen, each in a
// transaction with its number.
func (db *DB) migrate(ctx context.Context, conn *sql.Conn) error {
	var have, tables int
	if err := conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return err
	}
	switch {
	case have > len(migrations):
		return fmt.Errorf("%s was written by a newer version of this program (schema %d, this one knows up to %d): run that version, or restore a backup made before the upgrade", db.path, have, len(migrations))
	case have == 0 && tables > 0:
		return fmt.Errorf("%s is the database of another program: use a directory of its own", db.path)
	}
	if have < len(migrations) {
		if err := db.upgrade(ctx, conn, have); err != nil {
			return err
		}
	}
	return db.shrinkable(ctx, conn, tables > 0)
}

// upgrade runs the migrations after the first have ones.
func (db *DB) upgrade(ctx context.Context, conn *sql.Conn, have int) error {
	// A table that others refer to cannot be replaced while foreign keys are enforced.
	if _, err := conn.ExecContext(ctx, `PRAGMA foreign_keys = OFF`); err != nil {
		return err
	}
	for n := have; n < len(migrations); n++ {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, migrations[n]+fmt.Sprintf("PRAGMA user_version = %d;", n+1))
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			tx.Rollback()
			return fmt.Errorf("migrate to schema %d: %w", n+1, err)
		}
	}
	if have > 0 {
		db.log.Info("store schema upgraded", "file", db.path, "from", have, "to", len(migrations))
	}
	_, err := conn.ExecContext(ctx, `PRAGMA foreign_keys = ON`)
	return err
}

// shrinkable enables a database to give the space of pruned events back to the disk,
// which takes rewriting it. The file itself records whether that has been done: the
// number of its schema does not, because a kill may have come between the migration
// and the rewriting, and a database rebuilt by other tools may have lost it.
//
// A database that cannot be rewritten, such as for lack of space, still works: pruned
// space is reused, but the file does not shrink.
func (db *DB) shrinkable(ctx context.Context, conn *sql.Conn, used bool) error {
	var mode int
	if err := conn.QueryRowContext(ctx, `PRAGMA auto_vacuum`).Scan(&mode); err != nil || mode != 0 {
		return err
	}
	began := time.Now()
	if _, err := conn.ExecContext(ctx, `PRAGMA auto_vacuum = INCREMENTAL; VACUUM`); err != nil {
		// The part written to the log is useless, and in the way.
		_, _ = conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
		if !used || ctx.Err() != nil {
			return fmt.Errorf("rewrite the database so that it can shrink: %w", err)
		}
		db.log.Warn("the database file cannot shrink: space of removed events is reused, but not given back; the next start tries again", "code", telemetry.CodeCannotShrink, "file", db.path, "error", db.explain("rewrite", err))
		return nil
	}
	if used {
		db.log.Info("store rewritten so that it can shrink", "file", db.path, "took", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// checkLimit is the largest database that is checked at every start. A start must not
// take long, since events that arrive meanwhile may be lost; damage in a larger file
// is reported when it is found.
const checkLimit = 64 << 20

func (db *DB) check(ctx context.Context, conn *sql.Conn) error {
	if fi, err := os.Stat(db.path); err != nil || fi.Size() > checkLimit {
		return err
	}
	var verdict string
	if err := conn.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return &damagedError{verdict}
	}
	return nil
}

type damagedError struct{ verdict string }

func (e *damagedError) Error() string { return e.verdict }

// explain names the operation and, for the errors that an operator can do
// something about, the file and what to do.
func (db *DB) explain(operation string, err error) error {
	hint := ""
	var code int
	if e, ok := errors.AsType[*driver.Error](err); ok {
		code = e.Code() & 0xff
	}
	_, damaged := errors.AsType[*damagedError](err)
	switch {
	case damaged || code == lib.SQLITE_CORRUPT || code == lib.SQLITE_NOTADB:
		hint = fmt.Sprintf(": %s is damaged: keep a copy of it with its -wal and -shm files, then restore a backup, or rebuild it with the sqlite3 shell's .recover command", db.path)
	case isFull(err):
		hint = fmt.Sprintf(": the disk of %s is full: free some space", db.path)
	case code == lib.SQLITE_READONLY || code == lib.SQLITE_CANTOPEN || code == lib.SQLITE_PERM:
		hint = fmt.Sprintf(": check that this user may write %s and its directory, and that the disk is not mounted read-only", db.path)
	case code == lib.SQLITE_BUSY:
		hint = fmt.Sprintf(": another program has %s locked: close it", db.path)
	}
	return fmt.Errorf("sqlite: %s: %w%s", operation, err, hint)
}
