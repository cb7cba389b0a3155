// Package sqlite keeps the store in one SQLite database in a data directory:
// no server, nothing to set up, and safe against a power cut.
//
// Start with [Open]. One process owns a directory at a time; a second one is
// refused. One goroutine, the writer, makes every change, and changes that
// arrive together share one transaction and one sync (see writer.go). What comes
// most is first written to a journal, and the tables follow (see behind.go). Reads
// run beside the writer on connections of their own.
//
// Files in the directory: events.db is the database; events.db-wal and
// events.db-shm belong to it while it is open and, after a crash, hold changes
// that are not yet in events.db, so the three must be copied and moved
// together; lock names the owner.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the "sqlite" driver of database/sql

	"github.com/hookswitch/hookswitch/internal/durable"
	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// FileName is the name of the database in a data directory.
const FileName = "events.db"

// Config configures a DB. Dir is required.
type Config struct {
	// Dir is the data directory. It is created, for its owner only, if it
	// does not exist. It must be on a local disk: SQLite's log does not
	// work on network file systems.
	Dir string

	// Log receives messages for the operator: a commit that failed, a schema
	// that was upgraded. nil discards them.
	Log *slog.Logger

	// VFS names a layer between SQLite and the file system that the program
	// has registered, for tests. Empty: the file system itself.
	VFS string

	// OnCommit, unless nil, is called with how long each commit took, mostly
	// the sync of the log, and its error. It runs in the writer and must be
	// quick.
	OnCommit func(took time.Duration, err error)

	// disk returns the room on the disk of a directory; it is a seam for
	// tests. nil: the system's answer.
	disk func(dir string) (free, total uint64, err error)

	// Seams for tests; 0: the constants.
	indexAfter, patience time.Duration
}

// DB is an open store. It implements [store.Store]; its opener calls Close.
type DB struct {
	path string
	vfs  string
	log  *slog.Logger
	lock *dirlock.Lock

	room  *room
	files []openFile // as they were opened

	writerDB *sql.DB // has one connection,
	writer   *writer // which the writer uses
	readers  *sql.DB
	queries  queries

	queue    *batch.Queue[*op]          // to the writer
	onCommit func(time.Duration, error) // may be nil

	renewed            chan struct{} // of capacity 1: see Renewed
	lives              atomic.Int64  // how many times the database was restored while it was open
	journaled, indexed atomic.Int64  // the latest rows of the journal that were committed, and that are in the tables
	patience           time.Duration // see there
	closing            chan struct{} // closed by Close: no more operations start
	close              func() error  // runs once

	claimMu sync.Mutex
	claims  map[int64]claim   // guarded by claimMu: by job
	lanes   map[lane]struct{} // guarded by claimMu: those of claims
	ahead   ahead             // guarded by claimMu

	pruneMu   sync.Mutex
	pruneFrom int64 // guarded by pruneMu: events up to here were looked at in this round
}

var _ store.Store = (*DB)(nil)

// Open opens the store in cfg.Dir and creates it if there is none. It fails if
// another process has the directory open, or if the database is damaged or was
// written by a newer version of the program; each error says what to do. ctx only
// bounds the opening.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	return open(ctx, cfg, commit)
}

// open takes the commit function, so that tests can make it fail.
func open(ctx context.Context, cfg Config, commit commitFunc) (_ *DB, err error) {
	if cfg.Dir == "" {
		return nil, errors.New("sqlite: open: no data directory: set Config.Dir")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", cfg.Dir, err)
	}
	db := &DB{
		path:     filepath.Join(dir, FileName),
		vfs:      cfg.VFS,
		log:      cfg.Log,
		onCommit: cfg.OnCommit,
		renewed:  make(chan struct{}, 1),
		closing:  make(chan struct{}),
		patience: cmp.Or(cfg.patience, patience),
		claims:   make(map[int64]claim),
		lanes:    make(map[lane]struct{}),
	}
	db.ahead = newAhead(&db.journaled, &db.indexed)
	db.queue = batch.New[*op](maxGroupOps, maxGroupBytes, db.closing)
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if cfg.disk == nil {
		cfg.disk = telemetry.DiskRoom
	}
	db.close = sync.OnceValue(db.shut)
	defer func() {
		if err != nil {
			db.release()
		}
	}()

	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("sqlite: open: create data directory: %w", err)
	}
	if db.lock, err = dirlock.Take(dir); err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	if err := createFile(db.path); err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	if kind := volatile(dir); kind != "" {
		db.log.Warn("the data directory does not outlive this machine or container: acknowledged events are lost with it; mount a disk or a volume there", "code", telemetry.CodeDataVolatile, "dir", dir, "file_system", kind)
	}
	db.room = openRoom(db.path, cfg.disk)
	if err := db.openWriter(ctx, commit, cfg.indexAfter); err != nil {
		return nil, db.explain("open", err)
	}
	if err := db.openReaders(ctx); err != nil {
		return nil, db.explain("open", err)
	}
	if err := db.rememberFiles(); err != nil {
		return nil, db.explain("open", err)
	}
	db.writer.nudgeAfter(0)
	go db.queue.Serve(1, db.writer.write)
	return db, nil
}

// openWriter opens the writer's connection and brings the schema up to date
// through it.
func (db *DB) openWriter(ctx context.Context, commit commitFunc, after time.Duration) (err error) {
	if db.writerDB, err = sql.Open("sqlite", writerDSN(db.path, db.vfs)); err != nil {
		return err
	}
	db.writerDB.SetMaxOpenConns(1)
	conn, err := db.writerDB.Conn(ctx)
	if err != nil {
		return err
	}
	db.writer = &writer{db: db, conn: conn, commit: commit, behind: newBehind(), indexAfter: cmp.Or(after, indexAfter), maxBytes: maxBehindBytes}
	if r := db.room.reserve; r > 0 {
		db.writer.maxBytes = int(min(r/4, maxBehindBytes))
	}
	if err := db.room.limitLog(ctx, conn); err != nil {
		return err
	}
	if err := db.check(ctx, conn); err != nil {
		return err
	}
	if err := db.migrate(ctx, conn); err != nil {
		return err
	}
	if err := db.writer.prepare(ctx); err != nil {
		return err
	}
	if err := db.writer.recover(); err != nil {
		return err
	}
	db.writer.landed()
	return nil
}

func (db *DB) openReaders(ctx context.Context) error {
	var err error
	if db.readers, err = sql.Open("sqlite", readerDSN(db.path, db.vfs)); err != nil {
		return err
	}
	// Kept open while idle: a new connection has to read the schema again.
	n := max(4, runtime.GOMAXPROCS(0))
	db.readers.SetMaxOpenConns(n)
	db.readers.SetMaxIdleConns(n)
	return db.queries.prepare(ctx, db.readers)
}

// writerDSN asks for a sync of the log in every commit (FULL in WAL mode).
// NORMAL would be faster and lose acknowledged events in a power cut. The
// fullfsync settings matter on macOS only, where a plain fsync leaves the data
// in the drive's cache.
func writerDSN(path, vfs string) string {
	return dsn(path, vfs, url.Values{
		"_busy_timeout": {"5000"}, // an operator's sqlite3 shell may hold the lock for a moment
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_pragma":       {"fullfsync(1)", "checkpoint_fullfsync(1)", "journal_size_limit(67108864)"},
	})
}

func readerDSN(path, vfs string) string {
	return dsn(path, vfs, url.Values{
		"mode":          {"ro"},
		"_busy_timeout": {"5000"},
		"_query_only":   {"1"},
	})
}

func dsn(path, vfs string, q url.Values) string {
	if vfs != "" {
		q.Set("vfs", vfs)
	}
	q.Set("_dqs", "0")
	q.Set("_error_rc", "1")
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a Windows volume: file:///C:/...
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// createFile creates an empty database file that only its owner can read; SQLite
// would create one that everybody can, and gives its other files the same mode. The
// directory entries are synced too, so that a power cut after the first event cannot
// take the file's name away.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	dir := filepath.Dir(path)
	return errors.Join(durable.SyncDir(dir), durable.SyncDir(filepath.Dir(dir)))
}

// Close waits for the changes under way, moves the log into the database and
// releases the directory. Later calls return the result of the first.
func (db *DB) Close() error { return db.close() }

func (db *DB) shut() error {
	close(db.closing)
	db.queue.Wait()
	db.writer.settle()
	return db.release()
}

// release frees the resources of open, in reverse order. SQLite empties and removes
// its log when the last connection closes, which only a writing one can do: so the
// readers go first.
func (db *DB) release() error {
	var errs []error
	if db.readers != nil {
		errs = append(errs, db.readers.Close())
	}
	if db.writer != nil {
		if db.lock != nil && db.Intact() != nil {
			db.writer.keepLog()
		}
		errs = append(errs, db.writer.close())
	}
	if db.writerDB != nil {
		errs = append(errs, db.writerDB.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sqlite: close %s: %w", db.path, err)
	}
	return nil
}
