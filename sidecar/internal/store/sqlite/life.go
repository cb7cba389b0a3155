package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// A backup can be restored into the database while it is open here, such as by the
// sqlite3 shell's .restore. Then numbers are reused, and the state in memory belongs
// to another history. Nobody else writes, so any change by another connection is
// examined; checking for one costs a few microseconds in each group.

// latest is the latest event stored.
type latest struct {
	seq      int64
	delivery string
}

// beginLife records the state of the database when it is opened.
func (w *writer) beginLife(ctx context.Context) error {
	err := w.conn.QueryRowContext(ctx, `SELECT seq, delivery_id FROM events ORDER BY seq DESC LIMIT 1`).Scan(&w.latest.seq, &w.latest.delivery)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return w.dataVersion.QueryRowContext(ctx).Scan(&w.version)
}

// look notices another history, at the beginning of a transaction.
func (w *writer) look() error {
	var version int64
	if err := w.dataVersion.QueryRow().Scan(&version); err != nil {
		return err
	}
	b := &w.behind
	if version == w.version {
		if b.doubt {
			return w.recover()
		}
		return nil
	}
	other, err := w.restored()
	if err != nil {
		return err
	}
	w.version = version
	w.db.forgetAhead()
	if !other {
		if b.doubt {
			return w.recover()
		}
		return nil
	}
	w.latest = latest{}
	if err := w.recover(); err != nil {
		return err
	}
	w.db.lives.Add(1)
	lost, err := w.db.dropClaims(w.conn)
	w.db.log.Warn("the database was restored while it was in use: what was accepted since the backup is lost, and results of events that it does not know are dropped",
		"code", telemetry.CodeStoreRenewed, "file", w.db.path, "events_under_way", lost)
	select {
	case w.db.renewed <- struct{}{}:
	default: // a notice is already waiting
	}
	return err
}

// restored reports whether the latest event stored is missing, or is another one.
// Its number is remembered even when retention has removed it.
func (w *writer) restored() (bool, error) {
	if other, err := w.journalChanged(); other || err != nil {
		return other, err
	}
	if w.latest.seq == 0 {
		return false, nil
	}
	var seq int64
	var delivery sql.NullString
	err := w.conn.QueryRowContext(context.Background(), `
		SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), (SELECT delivery_id FROM events WHERE seq = ?)`, w.latest.seq).Scan(&seq, &delivery)
	return seq < w.latest.seq || delivery.Valid && delivery.String != w.latest.delivery, err
}

// dropClaims gives up the claims of jobs that no longer exist, and returns how many
// there were.
func (db *DB) dropClaims(conn *sql.Conn) (dropped int, err error) {
	db.claimMu.Lock()
	defer db.claimMu.Unlock()
	for id, c := range db.claims {
		var there bool
		err := conn.QueryRowContext(context.Background(), `
			SELECT EXISTS (SELECT 1 FROM jobs JOIN events ON events.seq = event_seq WHERE jobs.id = ? AND target = ? AND delivery_id = ?)`,
			id, c.of.target, c.of.delivery).Scan(&there)
		if err != nil {
			return dropped, err
		}
		if !there {
			db.free(id)
			dropped++
		}
	}
	return dropped, nil
}

var errRestored = errors.New("the database was restored meanwhile")

// writeOf is write for a change prepared by reading in the given life: in another
// one it fails with errRestored, and changes nothing.
func (db *DB) writeOf(ctx context.Context, life int64, name string, size int, run func(*writer) error) error {
	return db.write(ctx, name, size, func(w *writer) error {
		if err := db.sameLife(life); err != nil {
			return err
		}
		return run(w)
	})
}

// sameLife is for the writer, which has called look.
func (db *DB) sameLife(life int64) error {
	if db.lives.Load() != life {
		return errRestored
	}
	return nil
}

// Renewed implements [store.Store].
func (db *DB) Renewed() <-chan struct{} { return db.renewed }

// journalChanged reports whether the journal is not what this process has written.
func (w *writer) journalChanged() (bool, error) {
	b := &w.behind
	if b.doubt {
		return false, nil // it is read again in any case
	}
	var rows, first, last int64
	err := w.conn.QueryRowContext(context.Background(), `SELECT count(*), ifnull(min(n), 0), ifnull(max(n), 0) FROM journal`).Scan(&rows, &first, &last)
	if err != nil || rows != int64(len(b.rows)) {
		return true, err
	}
	return rows > 0 && (first != b.rows[0].n || last != b.rows[len(b.rows)-1].n), nil
}
