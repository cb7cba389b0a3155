package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// life identifies one history of a database: a promoted standby begins a new
// timeline, and a restored database is a new one. What a process holds in memory
// belongs to the history in which it was read.
//
// Nothing depends on noticing a new one. Numbers are never trusted alone (see
// jobIs), and held jobs are compared with the database at each beat.
type life struct {
	system   string // identifier of the cluster; "" if the server does not say
	timeline string // of the current log, in hexadecimal; "" if the server does not say
	database uint32 // number of the database
	jobs     uint32 // number of the table of jobs
}

// Every role may call these functions, from PostgreSQL 14 to 18. The timeline is
// not that of pg_control_checkpoint, which lags minutes behind a promotion. Each
// statement is complete, so it does not matter in which session of a pooler it
// runs.
const (
	whichLife = `
SELECT (SELECT system_identifier::text FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8),
	(SELECT oid FROM pg_database WHERE datname = current_database()), 'hookswitch_jobs'::regclass::oid`

	// whichTables is for servers that do not reveal the rest.
	whichTables = `
SELECT '', '', (SELECT oid FROM pg_database WHERE datname = current_database()), 'hookswitch_jobs'::regclass::oid`
)

// readLife asks the server. With db.reticent set it only asks for what no server
// refuses.
func (db *DB) readLife(ctx context.Context) (life, error) {
	text := whichLife
	if db.reticent {
		text = whichTables
	}
	found, err := query(ctx, db, func(rows pgx.Rows) (l life, err error) {
		err = rows.Scan(&l.system, &l.timeline, &l.database, &l.jobs)
		return l, err
	}, text)
	if err != nil {
		return life{}, err
	}
	return found[0], nil
}

// noteLife checks whether the history of the database has changed since the last
// call. If so it forgets what is known of the old one, and returns true.
func (db *DB) noteLife(ctx context.Context) (changed bool, err error) {
	now, err := db.readLife(ctx)
	pe, refused := errors.AsType[*pgconn.PgError](err)
	if refused && (pe.Code[:2] == "42" || pe.Code[:2] == "0A") && !db.reticent { // not for us, no such function, not here
		db.reticent = true
		db.log.Info("the PostgreSQL server does not say when a standby has become the primary: it is not reported", "database", db.name, "error", pe.Message)
		now, err = db.readLife(ctx)
	}
	if refused && err != nil && !disconnected(err) {
		return false, nil // next time: the lease must not depend on this
	}
	if err != nil {
		return false, err
	}
	was := db.life.Load()
	if was != nil && *was == now {
		return false, nil
	}
	db.life.Store(&now)
	if was == nil {
		return false, nil
	}
	db.renew(was, &now)
	return true, nil
}

// renew drops connections, some of which may lead to the old server, and has the
// routes written again. Retention forgets by itself, the leases of others are the
// caller's, and each beat compares the claims with the database.
func (db *DB) renew(was, now *life) {
	db.log.Warn("the database is not the same as before: it failed over to a standby, or was restored; what had not reached it is lost, and results of events that it does not know are dropped",
		"code", telemetry.CodeStoreRenewed, "database", db.name, "was", was.String(), "now", now.String())
	db.epoch.Add(1)
	if cut := db.unlisten.Load(); cut != nil {
		(*cut)()
	}
	select {
	case db.renewed <- struct{}{}:
	default: // a notice is already waiting
	}
}

func (l *life) String() string {
	return fmt.Sprintf("system %s timeline %s database %d table %d", orUnknown(l.system), orUnknown(l.timeline), l.database, l.jobs)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// Renewed implements [store.Store].
func (db *DB) Renewed() <-chan struct{} { return db.renewed }

// stillHeld compares the held jobs with the database. It returns those that
// exist, with whether nobody else has them, and claims again those that nobody has
// claimed: a standby may know a job, but not that it was claimed. A job that has had
// a later attempt is left alone.
// The lateral query makes the server look each up by its number: while its statistics
// are of a small table, it would read all of it.
const stillHeld = `
WITH i AS (
	SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::int[]) AS t (id, delivery_id, target, attempts)
), known AS (
	SELECT i.id, i.attempts, j.state, j.attempts AS have, j.state = 'pending' AND coalesce(j.owner = $1, true) AS ours
	FROM i CROSS JOIN LATERAL (SELECT * FROM hookswitch_jobs AS j WHERE j.id = i.id OFFSET 0) AS j WHERE ` + jobIs + `
), again AS (
	UPDATE hookswitch_jobs AS j SET owner = $1 FROM known
	WHERE j.id = known.id AND j.owner IS NULL AND j.state = 'pending' AND known.have <= known.attempts
)
SELECT id, ours FROM known`

// confirm drops held jobs that the database does not know. The caller keeps
// claims out.
func (db *DB) confirm(ctx context.Context) error {
	ids, deliveries, targets, attempts := db.held.names()
	if len(ids) == 0 {
		return nil
	}
	known := make(map[int64]bool, len(ids))
	_, err := query(ctx, db, func(rows pgx.Rows) (struct{}, error) {
		var id int64
		var ours bool
		err := rows.Scan(&id, &ours)
		known[id] = ours
		return struct{}{}, err
	}, stillHeld, db.owner, ids, deliveries, targets, attempts)
	if passing(err) {
		return nil // next time
	}
	if err != nil {
		return err
	}
	if lost := db.held.keep(ids, deliveries, known); lost > 0 {
		db.log.Warn("events under way are no longer in the database: it failed over to a standby that did not have them, or was restored; their results will be dropped",
			"code", telemetry.CodeStoreRenewed, "database", db.name, "events", lost)
	}
	return nil
}
