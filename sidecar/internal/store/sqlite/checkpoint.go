package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// The log is moved into the database by checkpoints of our own. SQLite's automatic
// ones run inside a commit, and all who wait for that commit wait for them: many
// pages, and a second file to sync. Ours are made in this order:
//
//  1. when the log has grown to its limit, a connection of their own copies what is
//     in it, beside the writer, and then what has been written meanwhile;
//  2. after the answers of its next group the writer copies the rest, which is
//     little, and while it does so nobody writes. Then all of the log is in the
//     database, and the next commit begins it anew.
//
// A reader that began earlier keeps a part of the log from being copied; then the
// log grows by a quarter of its limit before the next try. A checkpoint that fails
// loses nothing: what it should have copied stays in the log. The operator is told
// when the log is several times as long as it should be.

const (
	// The log is moved at so many bytes, at more where a sync takes longer than
	// slowSync, since moving it costs more there than its length does, and at less
	// while the disk has little room.
	logLimit     = 8 << 20
	shortLimit   = 4 << 20
	slowLogLimit = 32 << 20
	slowSync     = time.Millisecond

	// tooLong is at how many times its limit the operator is told of the log.
	tooLong = 8
)

// checkpoints moves the log into the database.
type checkpoints struct {
	conn     *sql.Conn  // its own; used by one copying at a time
	limit    int64      // of the log in bytes, or 0 for that by the time of a sync
	pageSize int64      // of the database
	at       int64      // pages in the log at which to begin
	sync     float64    // about how long a commit takes, in seconds
	short    bool       // the disk has little room
	copied   chan error // of capacity 1: receives when a copying has ended
	copying  bool       // until copied has been received from
	failure  error      // of the last checkpoint
	told     bool       // that the log is too long
}

// openCheckpoints opens the connection. The limit of a small disk is set before.
func (w *writer) openCheckpoints(ctx context.Context) error {
	c := &w.checkpoints
	c.copied = make(chan error, 1)
	if err := w.conn.QueryRowContext(ctx, `PRAGMA page_size`).Scan(&c.pageSize); err != nil {
		return err
	}
	var err error
	c.conn, err = w.db.writerDB.Conn(ctx)
	return err
}

// close waits for a copying under way and frees the connection.
func (c *checkpoints) close() error {
	if c.conn == nil {
		return nil
	}
	if c.copying {
		<-c.copied
	}
	return c.conn.Close()
}

// took counts how long a commit took.
func (c *checkpoints) took(commit time.Duration) {
	c.sync += (commit.Seconds() - c.sync) / 16
}

func (c *checkpoints) limitPages() int64 {
	limit := c.limit
	switch {
	case limit > 0:
	case c.short:
		limit = shortLimit
	case c.sync > slowSync.Seconds():
		limit = slowLogLimit
	default:
		limit = logLimit
	}
	return max(1, limit/c.pageSize)
}

// moveLog takes the next step of a checkpoint, if there is one to take. It is for
// the writer, between groups.
func (w *writer) moveLog() {
	c := &w.checkpoints
	if c.conn == nil {
		return
	}
	if c.copying {
		select {
		case err := <-c.copied:
			c.copying = false
			if c.failure = err; err == nil {
				w.finishCheckpoint()
			}
		default:
		}
		return
	}
	var busy, logged, already int64
	err := w.logLength.QueryRow().Scan(&busy, &logged, &already)
	limit := c.limitPages()
	if err != nil || logged < max(c.at, limit) {
		return
	}
	if logged >= tooLong*limit && !c.told {
		c.told = true
		w.db.tellLongLog(logged*c.pageSize, c.failure)
	}
	c.at = logged + limit/4 // unless it ends well
	c.copying = true
	go func() {
		_, _, err := checkpoint(c.conn)
		if err == nil {
			_, _, err = checkpoint(c.conn)
		}
		c.copied <- err
	}()
}

func (db *DB) tellLongLog(bytes int64, failure error) {
	log := db.log
	if failure != nil {
		log = log.With("error", failure)
	}
	log.Warn("SQLite's log has become long, because it cannot be moved into the database; it grows until it can",
		"code", telemetry.CodeLogNotMoved, "path", db.path+"-wal", "bytes", bytes)
}

// finishCheckpoint copies the rest.
func (w *writer) finishCheckpoint() {
	c := &w.checkpoints
	logged, copied, err := checkpoint(w.conn)
	switch {
	case err != nil:
		c.failure = err
	case copied == logged:
		c.at, c.told = 0, false
	default:
		c.at = logged + c.limitPages()/4
	}
}

var errBusy = errors.New("another checkpoint is running")

// checkpoint copies what it can, without waiting for anybody. It returns how many
// pages are in the log, and how many of them are in the database.
func checkpoint(conn *sql.Conn) (logged, copied int64, err error) {
	var busy int
	err = conn.QueryRowContext(context.Background(), `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &logged, &copied)
	if err == nil && busy != 0 {
		err = errBusy
	}
	return logged, copied, err
}

// logLength returns the same, and copies nothing.
const logLength = `PRAGMA wal_checkpoint(NOOP)`
