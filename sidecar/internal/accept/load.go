package accept

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// DefaultMaxConns is how many connections may be open at the same time.
const DefaultMaxConns = 4096

// What may be under way at the same time. Past it requests are shed with 503
// at once, while there is memory and time to say so: a sender that is told to
// come back is served better than one that waits until it gives up.
const (
	// maxRequests is far more than one group commit takes (the store
	// commits thousands in a second), and few enough that each is answered
	// within its budget.
	maxRequests = 2048

	// Requests that declare no more than smallBody, which is every webhook
	// that is not strange, are bounded by their number only. Larger ones
	// share maxLargeBytes.
	smallBody     = 64 << 10
	maxLargeBytes = 256 << 20
)

// load is what is under way.
type load struct {
	most     int64 // bytes that the Verifier takes in one request
	requests atomic.Int64
	large    atomic.Int64 // declared bytes of requests over smallBody
	draining atomic.Bool
}

// take admits a request of a declared length, which is less than 0 if it is
// not known. It must be given back.
func (l *load) take(length int64) bool {
	if l.requests.Add(1) > maxRequests {
		l.requests.Add(-1)
		return false
	}
	if n := l.cost(length); n > 0 && l.large.Add(n) > maxLargeBytes {
		l.large.Add(-n)
		l.requests.Add(-1)
		return false
	}
	return true
}

func (l *load) give(length int64) {
	l.requests.Add(-1)
	l.large.Add(-l.cost(length))
}

// cost returns what a request counts for in load.large. The Verifier refuses
// more than it takes before reading it; a request that does not say how long it
// is counts as that.
func (l *load) cost(length int64) int64 {
	switch {
	case length < 0 || length > l.most:
		return l.most
	case length <= smallBody:
		return 0
	}
	return length
}

// request is what is noted about a request under way.
type request struct {
	arrived time.Time
	result  string // as telemetry counts it
	status  int    // of the answer
	span    *telemetry.Span
}

type requestKey struct{}

// admit lets a request in, or sheds it, and notes when it came.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted := &request{arrived: time.Now(), result: telemetry.Failed, status: http.StatusServiceUnavailable}
		r, noted.span = s.cfg.Tracer.Receive(r)
		defer func() {
			noted.span.Answered(noted.result, noted.status)
			if s.cfg.OnAnswer != nil {
				s.cfg.OnAnswer(noted.result, time.Since(noted.arrived))
			}
		}()
		if s.load.draining.Load() {
			w.Header().Set("Connection", "close")
			busy(w, "stopping")
			return
		}
		if !s.load.take(r.ContentLength) {
			s.cfg.Log.Warn("request shed: too many are under way", "code", telemetry.CodeRequestShed, "limit", maxRequests, "remote", r.RemoteAddr)
			busy(w, "too many requests are under way")
			return
		}
		defer s.load.give(r.ContentLength)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, noted)))
	})
}

// of returns what is noted about a request, by admit.
func of(r *http.Request) *request {
	noted, _ := r.Context().Value(requestKey{}).(*request)
	return noted
}

// busy asks the sender to retry: Telnyx does after any answer but 2xx.
func busy(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, text, http.StatusServiceUnavailable)
}

// conns bounds the open connections of a server. One too many costs an idle
// one its life, so that nobody can keep others out by opening connections and
// saying nothing; if none is idle the new one is closed.
type conns struct {
	max int

	mu   sync.Mutex
	open int                   // guarded by mu
	idle map[net.Conn]struct{} // guarded by mu
}

// changed is the ConnState hook of a server.
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open++
		if c.open > c.max {
			_ = c.victim(conn).Close() // its own goroutine notices and reports it closed
		}
		c.quiet(conn) // until its first request begins
	case http.StateActive:
		delete(c.idle, conn)
	case http.StateIdle:
		c.quiet(conn)
	case http.StateClosed, http.StateHijacked:
		c.open--
		delete(c.idle, conn)
	}
}

func (c *conns) quiet(conn net.Conn) {
	if c.idle == nil {
		c.idle = make(map[net.Conn]struct{})
	}
	c.idle[conn] = struct{}{}
}

// victim returns any idle connection, or else the new one.
func (c *conns) victim(newest net.Conn) net.Conn {
	for conn := range c.idle {
		delete(c.idle, conn)
		return conn
	}
	return newest
}
