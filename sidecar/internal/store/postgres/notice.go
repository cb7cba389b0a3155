package postgres

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// channel carries notices between the sidecars: LISTEN hookswitch.
const channel = "hookswitch"

const (
	// noticePause is the time between two notices of one process. A server
	// takes notices one transaction at a time, so one per accept would slow
	// down all accepts.
	noticePause = 50 * time.Millisecond

	// maxNotice is the longest notice; PostgreSQL's limit is 8000.
	maxNotice = 7900
)

// notice tells other sidecars that there is work.
type notice struct {
	Owner   string   `json:"owner"`
	Targets []string `json:"targets"` // empty: any
}

// notices tells the others about new work, a moment after it was committed.
// Should one be lost, they find the work with their next beat.
type notices struct {
	db    *DB
	peers atomic.Int64 // other sidecars alive; without any, nobody listens
	wake  chan struct{}

	mu      sync.Mutex
	targets map[string]struct{} // guarded by mu: to notify about
}

func newNotices(db *DB) *notices {
	return &notices{db: db, wake: make(chan struct{}, 1), targets: make(map[string]struct{})}
}

// add does not block.
func (n *notices) add(targets []string) {
	if len(targets) == 0 || n.peers.Load() == 0 {
		return
	}
	n.mu.Lock()
	for _, t := range targets {
		n.targets[t] = struct{}{}
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notices) run() {
	ctx := n.db.background
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		if _, err := n.db.exec(ctx, `SELECT pg_notify($1, $2)`, channel, n.take()); err != nil && ctx.Err() == nil {
			n.db.log.Debug("a notice to the other sidecars was lost", "error", n.db.explain("notify", err))
		}
		pause.Reset(noticePause)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func (n *notices) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := notice{Owner: n.db.owner, Targets: make([]string, 0, len(n.targets))}
	for t := range n.targets {
		text.Targets = append(text.Targets, t)
	}
	clear(n.targets)
	b, err := json.Marshal(text)
	if err != nil || len(b) > maxNotice {
		b, _ = json.Marshal(notice{Owner: n.db.owner})
	}
	return string(b)
}

// Watch implements [store.Store]. It listens on its own connection, and reopens
// it, with growing waits, when it is lost.
func (db *DB) Watch(ctx context.Context, wake func(targets []string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	others := func(targets []string) {
		db.held.changed(targets...)
		wake(targets)
	}
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() {
		wait := 100 * time.Millisecond
		for ctx.Err() == nil {
			if db.pooled.Load() {
				db.poll(ctx, others)
				return
			}
			began := time.Now()
			err := db.listen(ctx, others)
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > time.Minute {
				wait = 100 * time.Millisecond
			}
			db.log.Warn("not listening for the work of other sidecars: it is found with a delay", "code", telemetry.CodeWatchFailed, "retry_in", wait, "delay", db.ttl/3, "error", db.explain("listen", err))
			pause(ctx, wait/2+rand.N(wait))
			wait = min(2*wait, 5*time.Second)
		}
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-db.closing:
			return nil
		case targets := <-db.freed:
			wake(targets)
		}
	}
}

// poll looks for the work of others where notices do not arrive.
func (db *DB) poll(ctx context.Context, wake func([]string)) {
	for ; ctx.Err() == nil; pause(ctx, pollPause) {
		if db.notices.peers.Load() == 0 {
			continue
		}
		if targets, err := db.waiting(ctx); err == nil { // otherwise the lease reports it
			wake(targets)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (db *DB) listen(ctx context.Context, wake func([]string)) error {
	conn, err := db.dial(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	db.unlisten.Store(&cut)
	// This connection is idle on purpose; servers before 14 do not have the limit.
	if _, err := conn.Exec(ctx, `SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'`); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	// Work that came while nobody listened.
	targets, err := db.waiting(ctx)
	if err != nil {
		return err
	}
	wake(targets)
	for {
		got, err := next(ctx, conn)
		if err != nil {
			return err
		}
		if got == nil {
			continue
		}
		var n notice
		if json.Unmarshal([]byte(got.Payload), &n) != nil || n.Owner == db.owner {
			continue
		}
		if targets = n.Targets; len(targets) == 0 {
			if targets, err = db.waiting(ctx); err != nil {
				return err
			}
		}
		wake(targets)
	}
}

// listenCheck is how long a connection may be silent before it is checked that the
// server is still there: nothing else would show it.
const listenCheck = 30 * time.Second

// next returns the next notice, or nil if there was none for a while.
func next(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, listenCheck)
	defer cancel()
	got, err := conn.WaitForNotification(waiting)
	if err == nil || waiting.Err() == nil || ctx.Err() != nil {
		return got, err
	}
	asking, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return nil, conn.Ping(asking)
}
