package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// A use of a connection that lasts for stallAfter makes watchStalls ask the server
// for the reason, on another connection: the server may be frozen or unplugged,
// which nothing else shows for minutes; a lock or a standby may be in the way,
// which looks the same from here.
const (
	stallAfter = time.Second

	// examineTime bounds that query, including all hosts.
	examineTime = 2*maxConnectTimeout + time.Second

	// examinePause is the time between two such queries.
	examinePause = 2 * time.Second

	// busyAfter is how long a working server may take before that is logged:
	// adding up the bytes of a large store, analysing its tables or exporting
	// it takes seconds, and nothing is wrong.
	busyAfter = groupTime / 2
)

// errGone ends uses of connections to a server that is gone.
var errGone = errors.New("the connection is dead")

// stalls tracks the uses under way.
type stalls struct {
	nudge chan struct{} // of capacity 1: a use takes long

	mu     sync.Mutex
	uses   map[*use]struct{} // guarded by mu
	reason string            // guarded by mu: why they wait, "" if none does
}

// use is a connection at work.
type use struct {
	s      *stalls
	ctx    context.Context // of this use only
	cancel context.CancelCauseFunc
	timer  *time.Timer
	conn   *pgx.Conn
	host   string
	pid    uint32
	began  time.Time
}

func (s *stalls) begin(ctx context.Context, conn *pgx.Conn) *use {
	u := &use{s: s, conn: conn, host: hostOf(conn), pid: conn.PgConn().PID(), began: time.Now()}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	s.mu.Lock()
	s.uses[u] = struct{}{}
	s.mu.Unlock()
	u.timer = time.AfterFunc(stallAfter, func() {
		select {
		case s.nudge <- struct{}{}:
		default:
		}
	})
	return u
}

// end ends a use, and returns err, or that its server is gone.
func (u *use) end(err error) error {
	u.timer.Stop()
	gone := errors.Is(context.Cause(u.ctx), errGone)
	u.cancel(nil)
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	delete(u.s.uses, u)
	if err != nil && (gone || disconnected(err) || timedOut(err)) {
		if gone {
			err = fmt.Errorf("%w: %s did not answer for %v", errGone, u.host, time.Since(u.began).Round(10*time.Millisecond))
		} else if u.host != "" {
			err = fmt.Errorf("%s: %w", u.host, err)
		}
	}
	return err
}

// tooLong reports whether the use lasts longer than any work should.
func (u *use) tooLong() bool { return time.Since(u.began) >= busyAfter }

// long returns the uses that have lasted for stallAfter.
func (s *stalls) long() (list []*use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for u := range s.uses {
		if time.Since(u.began) >= stallAfter {
			list = append(list, u)
		}
	}
	return list
}

// why returns the reason why things take long at the moment, or "".
func (s *stalls) why() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

func (s *stalls) setReason(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = reason
}

// stall is the reason why uses take long: kind tells causes apart, text is for
// people.
type stall struct{ kind, text string }

// stallBusy is the kind of a server that is busy, with nothing in its way.
const stallBusy = "busy"

// watchStalls runs until the store is closed.
func (db *DB) watchStalls() {
	for {
		select {
		case <-db.background.Done():
			return
		case <-db.stalls.nudge:
		}
		said := ""
		for {
			stuck := db.stalls.long()
			if len(stuck) == 0 || db.background.Err() != nil {
				break
			}
			found := db.examine(stuck)
			db.stalls.setReason(found.text)
			if found.text != "" && found.kind != said && (found.kind != stallBusy || slices.ContainsFunc(stuck, (*use).tooLong)) {
				said = found.kind
				db.log.Warn("the database does not answer in time", "code", telemetry.CodePostgresStalled, "database", db.name, "waiting", len(stuck), "reason", found.text)
			}
			pause(db.background, examinePause)
		}
		db.stalls.setReason("")
		if said != "" {
			db.log.Info("the database answers again", "database", db.name)
		}
	}
}

// examine asks the server what its uses wait for, and ends those whose server is
// gone, so that they are retried on another connection.
func (db *DB) examine(stuck []*use) stall {
	ctx, cancel := context.WithTimeout(db.background, examineTime)
	defer cancel()
	conn, err := db.dial(ctx)
	if err != nil {
		return stall{"unreachable", "no new connection either: " + db.plainly(err).Error()}
	}
	defer hangUp(conn)
	host := hostOf(conn)
	var pids []uint32
	for _, u := range stuck {
		if u.host != host {
			// A host that answers is asked first: this one did not.
			db.distrust(u.conn)
			u.cancel(errGone)
			continue
		}
		pids = append(pids, u.pid)
	}
	if len(pids) == 0 {
		return stall{"moved", fmt.Sprintf("%s does not answer, but %s does", stuck[0].host, host)}
	}
	at, err := db.activity(ctx, conn, pids)
	if err != nil {
		return stall{"unknown", "the server " + host + " answers, but does not say what it is busy with: " + db.plainly(err).Error()}
	}
	for _, u := range stuck {
		// A statement that the server does not work on has not reached it, or
		// its answer has not reached us.
		if a, known := at[u.pid]; u.host == host && !db.between.Load() && (!known || a.idle > stallAfter) {
			db.distrust(u.conn)
			u.cancel(errGone)
		}
	}
	for _, a := range at {
		if found := db.explainWait(ctx, conn, a); found.text != "" {
			return found
		}
	}
	return stall{stallBusy, "the server " + host + " answers, but takes long over its work: look at its load and its disk"}
}

// backend is the state of a server process that works for us.
type backend struct {
	idle     time.Duration // since it became idle; 0 while it works
	event    string        // that it waits for
	kind     string        // the kind of that event
	blockers string        // the holders of the lock that it waits for
}

// activity asks what some server processes are doing. A pooler hides which are
// ours: then it asks for those of this user.
func (db *DB) activity(ctx context.Context, conn *pgx.Conn, pids []uint32) (map[uint32]backend, error) {
	mine := make([]int64, len(pids))
	for i, pid := range pids {
		mine[i] = int64(pid)
	}
	rows, err := conn.Query(ctx, `
		SELECT pid::bigint, CASE WHEN state LIKE 'idle%' THEN extract(epoch FROM clock_timestamp() - state_change)::float8 ELSE 0 END,
			coalesce(wait_event, ''), coalesce(wait_event_type, ''), coalesce((
				SELECT string_agg('PID ' || b.pid || ' (' || coalesce(b.usename, '?') || ', ' || coalesce(nullif(b.application_name, ''), 'no application name') || ')', ', ')
				FROM pg_stat_activity AS b WHERE b.pid = ANY(pg_blocking_pids(a.pid))), '')
		FROM pg_stat_activity AS a
		WHERE pid <> pg_backend_pid() AND (pid = ANY($1) OR ($2 AND usename = current_user AND datname = current_database() AND state = 'active'))`,
		mine, db.between.Load())
	if err != nil {
		return nil, err
	}
	at := make(map[uint32]backend)
	_, err = collect(rows, func(rows pgx.Rows) (struct{}, error) {
		var pid int64
		var idle float64
		var b backend
		err := rows.Scan(&pid, &idle, &b.event, &b.kind, &b.blockers)
		b.idle = time.Duration(idle * float64(time.Second))
		at[uint32(pid)] = b
		return struct{}{}, err
	})
	return at, err
}

// explainWait returns the reason why a process waits, if something external holds
// it up.
func (db *DB) explainWait(ctx context.Context, conn *pgx.Conn, b backend) stall {
	switch {
	case b.event == "SyncRep":
		var names string
		if conn.QueryRow(ctx, `SELECT current_setting('synchronous_standby_names')`).Scan(&names) != nil {
			names = "?"
		}
		return stall{"standby", fmt.Sprintf("the server waits for a synchronous standby to confirm the commit: bring one of synchronous_standby_names (%s) back, or change that setting on the server", names)}
	case b.kind == "Lock":
		who := ""
		if b.blockers != "" {
			who = " by " + b.blockers
		}
		return stall{"lock", "a table or row of the store is locked" + who + ": end what holds the lock, such as an open transaction, VACUUM FULL or a migration; see pg_locks"}
	}
	return stall{}
}
