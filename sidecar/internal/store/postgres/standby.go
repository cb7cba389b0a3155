package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// standbysEvery is how often the server is asked for its standbys, in times of a
// lease: once a minute.
const standbysEvery = 6

// A server whose standbys are all asynchronous acknowledges commits that none of
// them has, and a failover loses those. Any role sees how many programs read the
// server's log, but only one with pg_read_all_stats sees what they are. Those with
// a logical slot are known not to be standbys.
const (
	whichStandbys = `
SELECT current_setting('synchronous_standby_names') <> '', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), count(*)
FROM pg_stat_replication AS r
WHERE r.state IS DISTINCT FROM 'backup' AND coalesce(r.application_name, '') NOT IN ('pg_receivewal', 'pg_basebackup')
	AND NOT EXISTS (SELECT 1 FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')`

	// whichNames is for a role that may not read those views.
	whichNames = `SELECT current_setting('synchronous_standby_names') <> '', false, -1::bigint`
)

// standbys holds what is known of the server's standbys.
type standbys struct {
	synchronous bool  // the server waits for one
	named       bool  // they can be told from other programs that read the log
	count       int64 // -1: unknown
	promoted    int64 // how many times the server, or what it was restored from, was promoted
}

const asynchronousFix = `set synchronous_standby_names = 'ANY 1 (*)' on the server and reload it; SEMANTICS.md says what each setting loses`

// exposed returns why a failover can lose events, or "".
func (s standbys) exposed() string {
	switch {
	case s.synchronous:
		return ""
	case s.count > 0 && s.named:
		return fmt.Sprintf("the PostgreSQL server has standbys (%d) and none is synchronous: a failover can lose acknowledged events; %s", s.count, asynchronousFix)
	case s.count > 0:
		return fmt.Sprintf("the PostgreSQL server sends its log to other programs (%d), whose kind this user may not see, and waits for none: if they are standbys, a failover can lose acknowledged events; %s", s.count, asynchronousFix)
	case s.promoted > 0 && s.count < 0:
		return fmt.Sprintf("the PostgreSQL server has been promoted or restored before (timeline %d) and waits for no synchronous standby, and this user may not see whether there are standbys: a failover can lose acknowledged events; %s", s.promoted+1, asynchronousFix)
	case s.promoted > 0:
		return fmt.Sprintf("the PostgreSQL server has been promoted or restored before (timeline %d) and waits for no synchronous standby: if one is added, a failover can lose acknowledged events; %s", s.promoted+1, asynchronousFix)
	}
	return ""
}

// kind returns a value whose change is worth another log line.
func (s standbys) kind() [2]bool { return [2]bool{s.exposed() != "", s.count > 0} }

// readStandbys asks the server.
func (db *DB) readStandbys(ctx context.Context) (s standbys, err error) {
	scan := func(rows pgx.Rows) (s standbys, err error) {
		err = rows.Scan(&s.synchronous, &s.named, &s.count)
		return s, err
	}
	found, err := query(ctx, db, scan, whichStandbys)
	if err != nil && !disconnected(err) && ctx.Err() == nil {
		found, err = query(ctx, db, scan, whichNames)
	}
	if err != nil {
		return s, err
	}
	s = found[0]
	if l := db.life.Load(); l != nil {
		if timeline, err := strconv.ParseInt(l.timeline, 16, 64); err == nil {
			s.promoted = timeline - 1
		}
	}
	return s, nil
}

// checkStandbys warns when a failover can lose events, once for each kind of
// reason. An error is ignored: the server is asked again.
func (db *DB) checkStandbys(ctx context.Context) {
	now, err := db.readStandbys(ctx)
	if err != nil {
		return
	}
	db.standbysAt = time.Now()
	was := db.standbys.Swap(&now)
	switch text := now.exposed(); {
	case was != nil && was.kind() == now.kind():
	case text != "":
		db.log.Warn(text, "code", telemetry.CodePostgresAsync, "database", db.name)
	case was != nil && was.exposed() != "":
		db.log.Info("a failover of the PostgreSQL server no longer loses acknowledged events", "database", db.name)
	}
}

// Warning returns a problem of a database that still takes events, or "".
func (db *DB) Warning(context.Context) string {
	if s := db.standbys.Load(); s != nil {
		return s.exposed()
	}
	return ""
}
