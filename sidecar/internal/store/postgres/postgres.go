// Package postgres keeps the store in a PostgreSQL database, which several
// sidecars may share: an event goes to whichever receives it, and its jobs to
// whichever is free.
//
// Start with [Open]. Changes that arrive together share one transaction and one
// sync of the server's log (see group.go). A job that a sidecar works on carries
// the sidecar's name; a sidecar that has not said for [LeaseTTL] that it is
// alive loses its jobs to the others, within [HandOver] of its death (owner.go).
// The server's clock decides about leases, never a sidecar's.
//
// The tables are called hookswitch_*, and are made in the first schema of the
// search_path.
package postgres

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Config says where the database is. URL is required.
type Config struct {
	// URL is as psql takes it: postgres://USER:PASSWORD@HOST:PORT/DATABASE,
	// with libpq's parameters and those of pgxpool, such as pool_max_conns
	// (16). It is never shown: errors name host and database only.
	URL string

	// Instance names this process, also after a restart, so that it takes
	// its own jobs up again at once. No two processes may use one at a time.
	// Empty: a new name each time; then the jobs that a process leaves when
	// it is killed wait for their lease to run out.
	Instance string

	// Log receives what an operator should know. nil discards it.
	Log *slog.Logger

	// OnCommit, unless nil, is told how long each transaction of a group of
	// accepts or results took, the way to the server included, and its error.
	// It is called concurrently and must be quick.
	OnCommit func(took time.Duration, err error)

	// LeaseTTL shortens [LeaseTTL], for tests. 0 means LeaseTTL.
	LeaseTTL time.Duration
}

// LeaseTTL is how long a sidecar that says nothing keeps its jobs. It says that
// it is alive three times as often.
const LeaseTTL = 10 * time.Second

// HandOver is how long after the death of a sidecar its jobs are free at the
// latest, as long as another one runs and the database does: a lease to run
// out, one round of looking for that, and some room. A sidecar that starts
// waits for one lease of its own before it takes from others, because after an
// outage of the database the living must have had time to say so.
const HandOver = 15 * time.Second

// DB is an open store. It implements [store.Store]; whoever opened it calls
// Close.
type DB struct {
	pool  *pgxpool.Pool
	conf  *pgx.ConnConfig
	name  string // host and database, for people
	owner string
	ttl   time.Duration
	log   *slog.Logger

	schema string // of the tables, once it is known
	ascii  bool   // the server cannot hold every letter: text of others is wrapped

	hosts   hosts
	stalls  stalls
	epoch   atomic.Int64 // of the connections that may be used, see distrust
	between atomic.Bool  // a pooler stands before the server
	pooled  atomic.Bool  // and it gives a session to others between transactions

	onCommit func(time.Duration, error) // nil: nobody is told

	accepts  *group[*acceptOp]
	finishes *group[*finishOp]
	notices  *notices
	held     held
	lease    lease
	freed    chan []string // targets that may have work, for Watch

	life     atomic.Pointer[life]               // of the database, as of the last beat
	reticent bool                               // the server does not tell all of it; used by Open and then by keepLease only
	renewed  chan struct{}                      // of capacity 1: see Renewed
	unlisten atomic.Pointer[context.CancelFunc] // ends the session that listens

	standbys   atomic.Pointer[standbys] // of the server, as of standbysAt
	standbysAt time.Time                // used by Open and then by keepLease only

	// background ends with Close; tasks counts what runs in it.
	background context.Context
	stop       context.CancelFunc
	tasks      sync.WaitGroup

	closing chan struct{} // closed by Close: no further operation starts
	close   func() error  // runs once

	pruneMu sync.Mutex
	sweep   sweep // guarded by pruneMu
}

var _ store.Store = (*DB)(nil)

// Open opens the store in the database of cfg.URL, and creates its tables if
// there are none. It fails if the database cannot be reached, and if a newer
// version of the program has written it; each error says what to do. ctx
// bounds only the opening.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	pc, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	db := &DB{
		conf: pc.ConnConfig, name: describe(pc.ConnConfig), owner: cfg.Instance, ttl: cfg.LeaseTTL, log: cfg.Log,
		onCommit: cfg.OnCommit,
		held:     held{jobs: make(map[int64]claimed)}, lease: lease{nudge: make(chan struct{}, 1)},
		freed: make(chan []string, 1), renewed: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	if db.owner == "" {
		db.owner = uuid.NewString()
	}
	if db.ttl <= 0 {
		db.ttl = LeaseTTL
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	db.close = sync.OnceValue(db.shut)
	db.notices = newNotices(db)
	db.stalls = stalls{nudge: make(chan struct{}, 1), uses: make(map[*use]struct{})}
	db.conf.Tracer = connectTracer{&db.hosts}
	if err := db.meet(ctx); err != nil {
		return nil, db.explain("open", err)
	}
	pc.BeforeConnect, pc.AfterConnect, pc.PrepareConn = db.connecting, db.connected, db.trusted
	// A connection that is lost shows when it is used, and the use is repeated:
	// a question in front of each would only wait for the same dead server.
	pc.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	if db.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, db.explain("open", err)
	}
	if err := db.prepare(ctx); err != nil {
		db.pool.Close()
		return nil, db.explain("open", err)
	}
	db.start()
	return db, nil
}

// CheckURL reports whether url is one that Open takes, without a word of it in
// the error.
func CheckURL(url string) error {
	if _, err := pgxpool.ParseConfig(url); err != nil {
		return errURL
	}
	return nil
}

var errURL = errors.New("is not a URL of PostgreSQL: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password percent-encoded")

// parse reads the URL. Its errors do not quote it, as pgx's would.
func parse(url string) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: open: the text given %w", errURL)
	}
	cc := pc.ConnConfig
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = connectTimeout
	}
	if len(allHosts(cc)) > 1 {
		cc.ConnectTimeout = min(cc.ConnectTimeout, maxConnectTimeout)
	}
	// What we write is UTF-8, whatever a role or database says of its clients.
	cc.RuntimeParams["client_encoding"] = "UTF8"
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "hookswitch"
	}
	if fips140.Enforced() {
		cc.RequireAuth = withoutMD5(cc.RequireAuth)
	}
	if !poolSized(url) {
		pc.MaxConns = 16
	}
	return pc, nil
}

// withoutMD5 takes MD5 out of the ways to log in that require_auth allows: where
// only FIPS 140-3 is allowed, to use it ends the process.
func withoutMD5(require string) string {
	switch {
	case require == "":
		return "!md5"
	case strings.Contains(require, "!"):
		if !strings.Contains(require, "!md5") {
			require += ",!md5"
		}
		return require
	}
	left := slices.DeleteFunc(strings.Split(require, ","), func(method string) bool { return strings.TrimSpace(method) == "md5" })
	if len(left) == 0 {
		return "scram-sha-256" // what is left of passwords
	}
	return strings.Join(left, ",")
}

// connecting readies the configuration of a connection of the pool.
func (db *DB) connecting(_ context.Context, cc *pgx.ConnConfig) error {
	if db.pooled.Load() && cc.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	db.hosts.prepare(cc)
	return nil
}

// connected marks a connection of the pool with the epoch in which it came
// about.
func (db *DB) connected(_ context.Context, conn *pgx.Conn) error {
	conn.PgConn().CustomData()[customEpoch] = db.epoch.Load()
	return nil
}

// prepare does what has to be done once, before any work.
func (db *DB) prepare(ctx context.Context) error {
	if err := db.migrate(ctx); err != nil {
		return err
	}
	if _, err := db.noteLife(ctx); err != nil {
		return err
	}
	if err := db.register(ctx); err != nil {
		return err
	}
	db.checkStandbys(ctx)
	return db.checkServer(ctx)
}

// start begins the work in the background.
func (db *DB) start() {
	db.background, db.stop = context.WithCancel(context.Background())
	db.accepts = newGroup(db, db.acceptAll)
	db.finishes = newGroup(db, db.finishAll)
	for _, run := range []func(){db.keepLease, db.notices.run, db.watchStalls, db.keepStatistics} {
		db.tasks.Go(run)
	}
}

// Close waits for the changes under way, frees the jobs of this process and
// closes the connections. Later calls return what the first one did.
func (db *DB) Close() error { return db.close() }

func (db *DB) shut() error {
	close(db.closing)
	db.accepts.wait()
	db.finishes.wait()
	db.stop()
	db.tasks.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := db.unregister(ctx)
	db.closePool()
	if err != nil {
		return fmt.Errorf("%w; the jobs of this process are free again in %v", db.explain("close", err), HandOver)
	}
	return nil
}

// closePool does not wait for a server that is gone: saying goodbye to it takes
// 15 seconds for each connection.
func (db *DB) closePool() {
	closed := make(chan struct{})
	go func() { defer close(closed); db.pool.Close() }()
	select {
	case <-closed:
	case <-time.After(2 * time.Second):
	}
}

func (db *DB) closed() bool {
	select {
	case <-db.closing:
		return true
	default:
		return false
	}
}

// change runs fn in a transaction of its own and commits it, again if that
// failed for a reason that passes: fn must be such that twice is harmless.
func (db *DB) change(ctx context.Context, operation string, fn func(pgx.Tx) error) error {
	if db.closed() {
		return store.ErrClosed
	}
	err := db.again(ctx, func() error { return db.transact(ctx, beginWrite, fn) })
	return db.failed(operation, err)
}

// again runs fn until it does not fail for a reason that may have passed: a
// transaction that was in the way, or connections of a server that has been
// restarted.
func (db *DB) again(ctx context.Context, fn func() error) (err error) {
	for n := range 5 {
		err = fn()
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case disconnected(err) && n < 2, passing(err):
		default:
			return err
		}
	}
	return err
}

// failed is explain, except for what callers test for.
func (db *DB) failed(operation string, err error) error {
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrElsewhere):
		return err
	case db.closed():
		return store.ErrClosed
	}
	return db.explain(operation, err)
}
