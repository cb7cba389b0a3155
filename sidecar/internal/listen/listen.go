// Package listen bounds the connections of a listener, and decides what happens
// when there is no file descriptor left for another.
//
// Start with [New], [Pool.Bind] and [Pool.Listener].
package listen

import (
	"container/list"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Config configures a [Pool].
type Config struct {
	Name  string // of the listener, for the log
	Max   int    // connections at the same time
	Log   *slog.Logger
	Files *Files // nil: the Pool is on its own when files run out
}

// Pool holds the connections of one server. Past the limit each new one costs
// another its life, so that nobody can keep others out by opening connections
// and saying little. They go in this order:
//
//  1. one that has never proven anything and is idle, such as a new one,
//  2. one whose request has not proven anything for a second: see [Prove],
//  3. an idle one,
//  4. one whose request has not proven anything yet.
//
// Of each kind the oldest goes first. If there is none, the new one is closed.
//
// It is safe for concurrent use.
type Pool struct {
	cfg Config

	mu       sync.Mutex
	conns    map[net.Conn]*conn // guarded by mu
	silent   list.List          // guarded by mu: idle, never proven
	unproven list.List          // guarded by mu: at work, not proven
	idle     list.List          // guarded by mu: idle, proven before
	shed     uint64             // guarded by mu: closed to make room
}

// slow is how long a request may prove nothing before it goes before a proven
// idle connection: a genuine one takes milliseconds.
const slow = time.Second

// conn is one connection.
type conn struct {
	pool *Pool
	net.Conn
	shed atomic.Bool

	// Guarded by the mutex of the pool.
	in     *list.List // that it is in; nil: none
	place  *list.Element
	since  time.Time // that it is there
	proven bool      // once, at least
}

// New returns a Pool.
func New(cfg Config) *Pool {
	p := &Pool{cfg: cfg, conns: make(map[net.Conn]*conn)}
	if cfg.Files != nil {
		cfg.Files.add(p)
	}
	return p
}

// connKey is the context key of a request's *conn.
type connKey struct{}

// Bind puts the connections of a server into the Pool. The server must not have
// been started.
func (p *Pool) Bind(server *http.Server) {
	server.ConnState = p.changed
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		entry := &conn{pool: p, Conn: c}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.conns[c] = entry
		return context.WithValue(ctx, connKey{}, entry)
	}
}

// Prove records that the sender of a request has proven its identity: its
// connection is not closed for others during the request. Outside a Pool it does
// nothing.
func Prove(ctx context.Context) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return
	}
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.proven = true
	if c.in == &c.pool.unproven {
		c.move(nil)
	}
}

// Shed reports whether the connection of a request was closed to make room.
func Shed(ctx context.Context) bool {
	c, ok := ctx.Value(connKey{}).(*conn)
	return ok && c.shed.Load()
}

// Proven returns a handler for which a complete header proves enough: for
// listeners that ask for nothing more.
func Proven(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Prove(r.Context())
		next.ServeHTTP(w, r)
	})
}

// changed is the ConnState hook of a server.
func (p *Pool) changed(nc net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.conns[nc]
	if c == nil {
		return
	}
	switch state {
	case http.StateNew:
		if len(p.conns) > p.cfg.Max {
			p.cfg.Log.Warn("all connections are taken: one was closed for another", "code", telemetry.CodeConnectionsFull, "listener", p.cfg.Name, "limit", p.cfg.Max, "remote", nc.RemoteAddr().String())
			if !p.evict() {
				p.close(c)
				return
			}
		}
		c.move(&p.silent) // until its first request begins
	case http.StateActive:
		c.move(&p.unproven)
	case http.StateIdle:
		if c.proven {
			c.move(&p.idle)
		} else {
			c.move(&p.silent)
		}
	case http.StateClosed, http.StateHijacked:
		c.move(nil)
		delete(p.conns, nc)
	}
}

// move puts a connection at the end of one of the lists, or into none. The
// caller holds mu.
func (c *conn) move(to *list.List) {
	if c.in != nil {
		c.in.Remove(c.place)
	}
	if c.in = to; to != nil && !c.shed.Load() {
		c.place, c.since = to.PushBack(c), time.Now()
	} else {
		c.in = nil
	}
}

// evict closes the connection that costs least, and reports whether there is
// one. The caller holds mu.
func (p *Pool) evict() bool {
	stuck := p.unproven.Front()
	if stuck != nil && time.Since(stuck.Value.(*conn).since) < slow {
		stuck = nil
	}
	for _, e := range []*list.Element{p.silent.Front(), stuck, p.idle.Front(), p.unproven.Front()} {
		if e != nil {
			p.close(e.Value.(*conn))
			return true
		}
	}
	return false
}

// close closes a connection, whose own goroutine notices and reports it. The
// caller holds mu.
func (p *Pool) close(c *conn) {
	c.shed.Store(true)
	c.move(nil)
	p.shed++
	raw := c.Conn
	if t, ok := raw.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn() // TLS would wait for a peer that does not read
	}
	_ = raw.Close()
}

// Open returns how many connections there are.
func (p *Pool) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Closed returns how many were closed to make room.
func (p *Pool) Closed() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shed
}
