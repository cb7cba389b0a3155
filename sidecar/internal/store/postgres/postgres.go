// Package postgres keeps the store in a PostgreSQL database, which several
// sidecars may share: any of them accepts an event, and any free one does its
// jobs.
//
// Start with [Open]. Changes that arrive together share one transaction and one
// sync of the server's log (see group.go). A job that a sidecar works on carries
// the sidecar's name; a sidecar that has not renewed its lease for [LeaseTTL]
// loses its jobs to the others, within [HandOver] of its death (owner.go).
// The server's clock decides about leases, never a sidecar's.
//
// The tables are called hookswitch_*, and are created in the first schema of the
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
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
)

// Config configures a DB. URL is required.
type Config struct {
	// URL is as psql takes it: postgres://USER:PASSWORD@HOST:PORT/DATABASE,
	// with libpq's parameters and those of pgxpool, such as pool_max_conns
	// (16). It is never shown: errors name host and database only.
	URL string

	// Instance names this process, even after a restart, so that it resumes
	// its own jobs at once. No two processes may use one at a time. Empty: a
	// new name each time; then the jobs of a killed process wait for its lease
	// to run out.
	Instance string

	// Log receives messages for the operator. nil discards them.
	Log *slog.Logger

	// OnCommit, unless nil, is called with how long each transaction of a
	// group of accepts or results took, including the round trip, and its
	// error. It is called concurrently and must be quick.
	OnCommit func(took time.Duration, err error)

	// LeaseTTL shortens [LeaseTTL], for tests. 0 means LeaseTTL.
	LeaseTTL time.Duration
}

// LeaseTTL is how long a silent sidecar keeps its jobs. It renews its lease three
// times as often.
const LeaseTTL = 10 * time.Second

// HandOver is how long after the death of a sidecar its jobs are free at the
// latest, as long as another one and the database run: a lease to run out, one
// round of checking for that, and some slack. A sidecar that starts waits for one
// lease of its own before it takes from others, because after an outage of the
// database the living must have time to report.
const HandOver = 15 * time.Second

// DB is an open store. It implements [store.Store]; its opener calls Close.
type DB struct {
	pool  *pgxpool.Pool
	conf  *pgx.ConnConfig
	name  string // host and database, for people
	owner string
	ttl   time.Duration
	log   *slog.Logger

	schema string // of the tables, once it is known
	ascii  bool   // the server cannot hold every letter: other text is wrapped

	hosts   hosts
	stalls  stalls
	epoch   atomic.Int64 // of the connections that may be used, see distrust
	between atomic.Bool  // there is a pooler before the server
	pooled  atomic.Bool  // and it shares sessions between transactions

	onCommit func(time.Duration, error) // may be nil

	accepts  *group[*acceptOp]
	finishes *group[*finishOp]
	releases *batch.Queue[*releaseOp]
	notices  *notices
	held     held
	lease    lease
	freed    chan []string // targets that may have work, for Watch

	life     atomic.Pointer[life]               // of the database, as of the last beat
	reticent bool                               // the server does not reveal all of it; used by Open and then only by keepLease
	renewed  chan struct{}                      // of capacity 1: see Renewed
	unlisten atomic.Pointer[context.CancelFunc] // ends the listening session

	standbys   atomic.Pointer[standbys] // of the server, as of standbysAt
	standbysAt time.Time                // used by Open and then only by keepLease

	// background ends with Close; tasks counts what runs in it.
	background context.Context
	stop       context.CancelFunc
	tasks      sync.WaitGroup

	closing chan struct{} // closed by Close: no more operations start
	close   func() error  // runs once

	pruneMu sync.Mutex
	sweep   sweep // guarded by pruneMu
}

var _ store.Store = (*DB)(nil)

// Open opens the store in the database of cfg.URL, and creates its tables if
// there are none. It fails if the database cannot be reached, or was written by a
// newer version of the program; each error says what to do. ctx only bounds the
// opening.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	pc, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	db := &DB{
		conf: pc.ConnConfig, name: describe(pc.ConnConfig), owner: cfg.Instance, ttl: cfg.LeaseTTL, log: cfg.Log,
		onCommit: cfg.OnCommit,
		lease:    lease{nudge: make(chan struct{}, 1)},
		freed:    make(chan []string, 1), renewed: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	if db.owner == "" {
		db.owner = uuid.NewString()
	}
	if db.ttl <= 0 {
		db.ttl = LeaseTTL
	}
	db.held = newHeld(db.ttl)
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
	// A lost connection shows when it is used, and the use is repeated: a ping
	// before each use would only wait for the same dead server.
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

// CheckURL returns an error, which does not quote url, unless Open accepts it.
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
	// We write UTF-8, whatever a role or database sets for its clients.
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

// withoutMD5 removes MD5 from the login methods of require_auth: where only FIPS
// 140-3 is allowed, using it ends the process.
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
		return "scram-sha-256" // the only password method left
	}
	return strings.Join(left, ",")
}

// connecting prepares the configuration of a connection of the pool.
func (db *DB) connecting(_ context.Context, cc *pgx.ConnConfig) error {
	if db.pooled.Load() && cc.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	db.hosts.prepare(cc)
	return nil
}

// connected marks a connection of the pool with its epoch.
func (db *DB) connected(_ context.Context, conn *pgx.Conn) error {
	conn.PgConn().CustomData()[customEpoch] = db.epoch.Load()
	return nil
}

// prepare does the work that is needed once, at the opening.
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
	db.releases = batch.New[*releaseOp](maxGroupOps, maxGroupBytes, db.closing)
	go db.releases.Serve(1, db.releaseAll)
	for _, run := range []func(){db.keepLease, db.keepFresh, db.notices.run, db.watchStalls, db.keepStatistics} {
		db.tasks.Go(run)
	}
}

// Close waits for the changes under way, frees the jobs of this process and closes
// the connections. Later calls return the result of the first.
func (db *DB) Close() error { return db.close() }

func (db *DB) shut() error {
	close(db.closing)
	db.accepts.queue.Wait()
	db.finishes.queue.Wait()
	db.releases.Wait()
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

// closePool does not wait for a server that is gone: closing cleanly would take 15
// seconds for each connection.
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

// change runs fn in a transaction of its own and commits it, and again if that
// failed for a passing reason: running fn twice must be harmless.
func (db *DB) change(ctx context.Context, operation string, fn func(pgx.Tx) error) error {
	if db.closed() {
		return store.ErrClosed
	}
	err := db.again(ctx, func() error { return db.transact(ctx, beginWrite, fn) })
	return db.failed(operation, err)
}

// again repeats fn while it fails for a passing reason: a transaction in the way,
// or connections of a server that has been restarted.
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
