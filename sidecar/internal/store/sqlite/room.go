package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// A part of the disk is reserved from new events. SQLite writes to its log before it
// changes or removes anything, so on a completely full disk no result can be
// recorded and nothing can be removed: such a store would stay full for ever. The
// reserve is a tenth of a small disk; on others it covers the log of the largest
// removal several times.
//
// Events are accepted while more is left than the reserve and the results of waiting
// events need; results are recorded while a quarter of the reserve is left; that
// quarter is for the removal of old events.
const (
	reserveShare = 10
	minReserve   = 1 << 20
	maxReserve   = 64 << 20
	removalShare = 4

	// resultBytes is roughly the size of an event's result.
	resultBytes = 1024

	// ample is the room on most disks: with that much no exact count is
	// needed.
	ample = 1 << 30

	// opCost is how much an event may take in the log beyond twice its own
	// size: pages of each index that it does not share with others.
	opCost = 32 << 10

	// A store with less than this share of its disk is not made smaller to free
	// the disk: something else fills it, and would continue.
	ownShare = 4
)

// Errors of operations for which there is no room.
var (
	errNoRoomEvent  = errors.New("the rest is reserved for recording results and removing old events")
	errNoRoomResult = errors.New("the rest is reserved for removing old events")
)

// purpose decides how much of the disk an operation may use.
type purpose int8

const (
	forResult purpose = iota // and everything that is neither of the others
	forEvent
	forRemoval
)

// room is the room on the disk of the store.
type room struct {
	path    string // of the database
	disk    func(dir string) (free, total uint64, err error)
	reserve int64 // 0: unknown
	total   int64

	pending   atomic.Int64 // waiting jobs, roughly; changed by the writer
	countedAt time.Time    // pending was counted
	countTook time.Duration
}

// openRoom measures the disk. Where that is not possible there is always room.
func openRoom(path string, disk func(string) (free, total uint64, err error)) *room {
	r := &room{path: path, disk: disk}
	if _, total, err := disk(filepath.Dir(path)); err == nil && total > 0 {
		r.total = int64(min(total, math.MaxInt64))
		r.reserve = min(max(r.total/reserveShare, minReserve), maxReserve)
	}
	return r
}

// limitLog keeps the log of a store on a small disk small.
func (r *room) limitLog(ctx context.Context, conn *sql.Conn) error {
	if r.reserve == 0 || r.reserve == maxReserve {
		return nil
	}
	pages := min(1000, r.reserve/8192)
	_, err := conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d`, pages, r.reserve))
	return err
}

// Capacity returns how large the store in dir can become before its disk has no more
// room for events, and false if unknown. at is dir or, while it does not exist, the
// nearest existing directory above it.
func Capacity(dir, at string) (bytes int64, known bool) {
	r := openRoom(filepath.Join(dir, FileName), func(string) (free, total uint64, err error) { return telemetry.DiskRoom(at) })
	free, _, err := r.disk(at)
	if err != nil || r.reserve == 0 {
		return 0, false
	}
	return max(0, r.own()+int64(free)-2*r.reserve), true
}

// own returns the size of the store's files.
func (r *room) own() (bytes int64) {
	for _, suffix := range []string{"", "-wal"} {
		if fi, err := os.Stat(r.path + suffix); err == nil {
			bytes += fi.Size()
		}
	}
	return bytes
}

// left returns how many bytes the store may still fill, including the reserve.
// Changes in the log, which will make the file longer, are not free space; empty
// pages of the file are.
func (r *room) left(s func() (size, error)) int64 {
	free, _, err := r.disk(filepath.Dir(r.path))
	if err != nil || r.reserve == 0 || free > ample {
		return math.MaxInt64
	}
	left := int64(free)
	size, err := s()
	fi, statErr := os.Stat(r.path)
	if err != nil || statErr != nil {
		return left
	}
	return left + size.free*size.pageBytes - max(0, size.pages*size.pageBytes-fi.Size())
}

// short returns how many bytes of events have to go so that new ones are accepted for
// a while.
func (r *room) short(s size) int64 {
	if r.own() < r.total/ownShare {
		return 0
	}
	return max(0, 2*r.reserve+r.pending.Load()*resultBytes-r.left(func() (size, error) { return s, nil }))
}

// admit fails the operations of a group for which there is no room, and returns the
// others.
func (w *writer) admit(group []*op) []*op {
	r := w.db.room
	left := r.left(func() (size, error) { return readSize(context.Background(), w.conn) })
	if left == math.MaxInt64 {
		return group
	}
	kept := group[:0]
	for _, o := range group {
		cost := int64(2*o.Size() + opCost)
		switch {
		case o.purpose == forEvent && left-r.reserve-w.results(o.jobs) < cost:
			o.Answer(fmt.Errorf("%w (%d MiB)", errNoRoomEvent, left>>20))
		case o.purpose == forResult && left < r.reserve/removalShare:
			o.Answer(fmt.Errorf("%w (%d MiB)", errNoRoomResult, left>>20))
		default:
			left -= cost
			kept = append(kept, o)
		}
	}
	return kept
}

// results returns the size of the results of all waiting jobs and of more new ones,
// which from then on count as waiting.
func (w *writer) results(more int) int64 {
	r := w.db.room
	if age := time.Since(r.countedAt); age > 100*time.Millisecond && age > 50*r.countTook {
		began := time.Now()
		var n int64
		err := w.conn.QueryRowContext(context.Background(), `SELECT count(*) FROM jobs INDEXED BY jobs_due WHERE state = 'pending'`).Scan(&n)
		if err == nil {
			r.pending.Store(n + int64(len(w.behind.jobs)))
		}
		r.countedAt, r.countTook = time.Now(), time.Since(began)
	}
	return r.pending.Add(int64(more)) * resultBytes
}

// isFull reports whether a write failed for lack of space.
func isFull(err error) bool {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()&0xff == lib.SQLITE_FULL
	}
	return errors.Is(err, errNoRoomEvent) || errors.Is(err, errNoRoomResult)
}
