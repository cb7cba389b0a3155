package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// migrations take a database from schema n to n+1; hookswitch_schema counts the
// finished ones. Only append: databases in the field have run the rest.
//
// Why the tables are as they are:
//   - records has a row for each event with the columns that lists are selected
//     by, apart from events: an update writes a new version of its whole row, and
//     that should not be the one with the body.
//   - jobs_due holds the work that nobody has claimed, so that a claim reads
//     only what it takes; jobs_entity finds the first pending job of an
//     entity, and jobs_busy the claimed one.
//   - jobs and records are updated a few times each: their pages have room left,
//     so that an update stays in its page, and they are vacuumed by number, not
//     by share.
//   - events are found by their id through their key, which nearly always is the id;
//     events_other_id has the others.
//   - no table refers to another: the server would check, and lock, a row for each
//     row that is stored. A record is the lock of its event (see finish.go), and only
//     Prune removes anything.
//   - text that PostgreSQL cannot hold is wrapped, see encode.go.
//
// A sidecar of schema 2 goes on beside newer ones, until it is restarted.
var migrations = []string{`
CREATE TABLE hookswitch_events (
	seq          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key          text        NOT NULL UNIQUE,
	delivery_id  text        NOT NULL,
	id           text        NOT NULL,
	type         text        NOT NULL,
	occurred_at  text        NOT NULL,
	received_at  timestamptz,
	method       text        NOT NULL,
	path         text        NOT NULL,
	remote_addr  text        NOT NULL,
	key_label    text        NOT NULL,
	signed_at    timestamptz,
	payload_off  integer     NOT NULL,
	payload_len  integer     NOT NULL,
	duplicates   integer     NOT NULL DEFAULT 0,
	header       text,
	body         bytea       NOT NULL,
	entity       text        NOT NULL DEFAULT '',
	order_at     timestamptz
);
CREATE UNIQUE INDEX hookswitch_events_delivery_id ON hookswitch_events (lower(delivery_id));
CREATE INDEX hookswitch_events_id ON hookswitch_events (lower(id)) WHERE id <> '';

CREATE TABLE hookswitch_jobs (
	id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	event_seq  bigint      NOT NULL REFERENCES hookswitch_events (seq),
	target     text        NOT NULL,
	state      text        NOT NULL CHECK (state IN ('pending', 'done', 'dead', 'discarded')),
	attempts   integer     NOT NULL DEFAULT 0,
	next_at    timestamptz,
	entity     text        NOT NULL DEFAULT '',
	order_at   timestamptz NOT NULL,
	round      integer     NOT NULL DEFAULT 0,
	base       integer     NOT NULL DEFAULT 0,
	round_at   timestamptz NOT NULL,
	was        text        NOT NULL DEFAULT '',
	owner      text,
	UNIQUE (event_seq, target)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX hookswitch_jobs_due ON hookswitch_jobs (target, next_at, id) WHERE state = 'pending' AND owner IS NULL;
CREATE INDEX hookswitch_jobs_open ON hookswitch_jobs (state, event_seq) WHERE state <> 'done';
CREATE INDEX hookswitch_jobs_entity ON hookswitch_jobs (target, entity, order_at, event_seq) WHERE state = 'pending' AND entity <> '';
CREATE INDEX hookswitch_jobs_busy ON hookswitch_jobs (owner, target, entity) WHERE state = 'pending' AND owner IS NOT NULL;

CREATE TABLE hookswitch_attempts (
	job_id          bigint      NOT NULL REFERENCES hookswitch_jobs (id),
	n               integer     NOT NULL,
	started_at      timestamptz,
	finished_at     timestamptz,
	outcome         text        NOT NULL,
	retry_after     bigint      NOT NULL,
	request_url     text        NOT NULL,
	request_header  text,
	response_status integer     NOT NULL,
	response_header text,
	response_body   bytea,
	error_codes     text,
	error           text        NOT NULL,
	PRIMARY KEY (job_id, n)
);

CREATE TABLE hookswitch_records (
	seq         bigint  PRIMARY KEY REFERENCES hookswitch_events (seq),
	type        text    NOT NULL,
	received_at timestamptz NOT NULL,
	handled     boolean NOT NULL,
	bytes       bigint  NOT NULL,
	status      text,   -- 'delivered', 'failed', or NULL while a job is pending
	started_at  timestamptz,
	finished_at timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX hookswitch_records_status ON hookswitch_records (status, seq) WHERE status IS NOT NULL;
CREATE INDEX hookswitch_records_unhandled ON hookswitch_records (seq) WHERE NOT handled;

CREATE TABLE hookswitch_routes (
	target   text PRIMARY KEY,
	patterns text NOT NULL
);

CREATE TABLE hookswitch_owners (
	id         text        PRIMARY KEY,
	expires_at timestamptz NOT NULL,
	pings      bigint      NOT NULL DEFAULT 0
);

CREATE TABLE hookswitch_replays (
	n           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id          text        NOT NULL UNIQUE,
	created_at  timestamptz NOT NULL,
	query       text        NOT NULL,
	targets     text        NOT NULL,
	rate        double precision NOT NULL,
	state       text        NOT NULL,
	total       integer     NOT NULL,
	seen        integer     NOT NULL DEFAULT 0,
	queued      integer     NOT NULL DEFAULT 0,
	skipped     integer     NOT NULL DEFAULT 0,
	cursor      bigint      NOT NULL DEFAULT 0,
	last        bigint      NOT NULL,
	finished_at timestamptz,
	owner       text
);
CREATE INDEX hookswitch_replays_running ON hookswitch_replays (n) WHERE state = 'running';
`, `
ALTER TABLE hookswitch_events ADD COLUMN traceparent text NOT NULL DEFAULT '';
`, `
LOCK TABLE hookswitch_events, hookswitch_records, hookswitch_jobs, hookswitch_attempts IN ACCESS EXCLUSIVE MODE;
ALTER TABLE hookswitch_jobs DROP CONSTRAINT IF EXISTS hookswitch_jobs_event_seq_fkey;
ALTER TABLE hookswitch_records DROP CONSTRAINT IF EXISTS hookswitch_records_seq_fkey;
ALTER TABLE hookswitch_attempts DROP CONSTRAINT IF EXISTS hookswitch_attempts_job_id_fkey;
CREATE INDEX hookswitch_events_other_id ON hookswitch_events (lower(id)) WHERE ` + otherID + `;
DROP INDEX IF EXISTS hookswitch_events_id;
`}

// otherID selects the events that cannot be found by their id as a key.
const otherID = `id <> '' AND key <> 'id:' || id AND key <> 'id:' || lower(id)`

// Advisory locks are named by two numbers. The first, ours, distinguishes them
// from those of other programs in the same database.
const (
	lockSpace   = 0x686f6f6b // "hook"
	lockMigrate = 1
	lockPrune   = 2
	// Beyond: a target's name, hashed, while its entities are claimed.
)

const (
	// migrateWait is how long a migration waits for a lock, and keeps everybody out
	// meanwhile. Then it lets them pass, and tries again.
	migrateWait  = 2 * time.Second
	migrateTries = 30
)

// migrate brings the schema up to date, or leaves it as it is. Of several sidecars
// starting at once, one does it and the others wait.
func (db *DB) migrate(ctx context.Context) error {
	for n := 1; ; n++ {
		err := db.tryMigrate(ctx)
		if err == nil || n == migrateTries || ctx.Err() != nil || !passing(err) && !lockTimeout(err) {
			return err
		}
		db.log.Info("the tables are in use: their upgrade is tried again", "database", db.name, "error", err)
		pause(ctx, migrateWait/4+rand.N(migrateWait))
	}
}

func lockTimeout(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pe.Code == "55P03"
}

func (db *DB) tryMigrate(ctx context.Context) error {
	return db.transact(ctx, beginWrite, func(tx pgx.Tx) error {
		// Once in the life of a database, however long it takes.
		if _, err := tx.Exec(ctx, `SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockSpace, lockMigrate); err != nil {
			return err
		}
		exists, err := db.findSchema(ctx, tx)
		if err != nil {
			return err
		}
		if !exists { // a role without CREATE is enough for existing tables
			if _, err := tx.Exec(ctx, `CREATE TABLE hookswitch_schema (version integer NOT NULL)`); err != nil {
				return fmt.Errorf("create tables: %w", err)
			}
		}
		var have int
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM hookswitch_schema`).Scan(&have); err != nil {
			return err
		}
		if have > len(migrations) {
			return fmt.Errorf("the database was written by a newer version of this program (schema %d, this one knows up to %d): run that version, or restore a backup made before the upgrade", have, len(migrations))
		}
		if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprint(migrateWait.Milliseconds())); err != nil {
			return err
		}
		for n := have; n < len(migrations); n++ {
			if _, err := tx.Exec(ctx, migrations[n]); err != nil {
				return fmt.Errorf("migrate to schema %d: %w", n+1, err)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO hookswitch_schema VALUES ($1)`, n+1); err != nil {
				return fmt.Errorf("migrate to schema %d: %w", n+1, err)
			}
		}
		if have > 0 && have < len(migrations) {
			db.log.Info("store schema upgraded", "database", db.name, "from", have, "to", len(migrations))
		}
		return nil
	})
}
