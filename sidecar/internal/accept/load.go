package accept

import (
	"container/list"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// DefaultMaxConns is how many connections may be open at the same time.
const DefaultMaxConns = 4096

// The limits on what is under way at the same time. Past them requests are shed with
// 503 at once, while there is memory and time for an answer: a sender told to come back
// is served better than one that waits until it gives up.
const (
	// maxRequests is far more than one group commit takes (the store
	// commits thousands in a second), and few enough that each is answered
	// within its budget.
	maxRequests = 2048

	// Requests that declare no more than smallBody, as all ordinary webhooks
	// do, are only bounded by their number. Larger ones share maxLargeBytes.
	smallBody     = 64 << 10
	maxLargeBytes = 256 << 20
)

// load tracks the requests under way.
type load struct {
	most     int64 // bytes that the Verifier takes in one request
	draining atomic.Bool

	mu       sync.Mutex
	requests int       // guarded by mu
	large    int64     // guarded by mu: declared bytes of requests over smallBody
	unproven list.List // guarded by mu: requests without a good signature yet, oldest first
}

// take admits a request of a declared length, below 0 if unknown. It must be given
// back. Where there is no room, the request that has been under way for longest
// without a good signature loses its place: a genuine one has shown its own within
// milliseconds, and slow senders without one must not keep it out. take reports
// whether there was such a request, and whether the new one is admitted.
func (l *load) take(r *request, length int64) (shed, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cost := l.cost(length)
	for l.requests >= maxRequests || cost > 0 && l.large+cost > maxLargeBytes {
		victim := l.victim(l.requests < maxRequests)
		if victim == nil {
			return shed, false
		}
		shed = true
		victim.shed.Store(true)
		l.release(victim)
		victim.stop()
	}
	l.requests++
	l.large += cost
	r.cost = cost
	r.place = l.unproven.PushBack(r)
	r.holds = true
	return shed, true
}

// victim returns the oldest request that has not proven anything, among the large
// ones if only those help, or nil. The caller holds mu.
func (l *load) victim(large bool) *request {
	for e := l.unproven.Front(); e != nil; e = e.Next() {
		if r := e.Value.(*request); !large || r.cost > 0 {
			return r
		}
	}
	return nil
}

// prove makes a request keep its place.
func (l *load) prove(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.place != nil {
		l.unproven.Remove(r.place)
		r.place = nil
	}
}

// give gives back the place of a request.
func (l *load) give(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(r)
}

// release takes a request off the books, once. The caller holds mu.
func (l *load) release(r *request) {
	if r.place != nil {
		l.unproven.Remove(r.place)
		r.place = nil
	}
	if r.holds {
		r.holds = false
		l.requests--
		l.large -= r.cost
	}
}

// cost returns the size of a request in load.large. The Verifier refuses more than its
// limit before reading; a request of unknown length counts as the limit.
func (l *load) cost(length int64) int64 {
	switch {
	case length < 0 || length > l.most:
		return l.most
	case length <= smallBody:
		return 0
	}
	return length
}

// request is the record of a request under way.
type request struct {
	arrived time.Time
	result  string // as telemetry counts it
	status  int    // of the answer
	span    *telemetry.Span
	doubt   doubt // about the header that names the sender

	stop  func()        // makes reading the body fail
	shed  atomic.Bool   // it has lost its place
	holds bool          // guarded by load.mu: it has a place
	place *list.Element // guarded by load.mu: in load.unproven; nil: not there
	cost  int64         // guarded by load.mu: counted in load.large
}

type requestKey struct{}

// admit admits a request, or sheds it, and records when it came.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted := &request{arrived: time.Now(), result: telemetry.Failed, status: http.StatusServiceUnavailable}
		r, noted.doubt = s.identify(r)
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
		if !s.cfg.Health.Serving() {
			// The delay before the end: senders that keep a connection open
			// go where the next one leads, before this one is cut.
			w.Header().Set("Connection", "close")
		}
		control := http.NewResponseController(w)
		noted.stop = func() { _ = control.SetReadDeadline(time.Unix(1, 0)) } // it is broken off, or has come to its end
		shed, ok := s.load.take(noted, r.ContentLength)
		if shed {
			s.cfg.Log.Warn("request shed: one without a signature was under way for too long, and its place was needed", "code", telemetry.CodeRequestShed, "limit", maxRequests)
		}
		if !ok {
			s.cfg.Log.Warn("request shed: too many are under way", "code", telemetry.CodeRequestShed, "limit", maxRequests, "remote", r.RemoteAddr)
			busy(w, "too many requests are under way")
			return
		}
		defer s.load.give(noted)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, noted)))
	})
}

// of returns the record of a request, made by admit.
func of(r *http.Request) *request {
	noted, _ := r.Context().Value(requestKey{}).(*request)
	return noted
}

// busy asks the sender to retry: Telnyx does after any answer but 2xx.
func busy(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, text, http.StatusServiceUnavailable)
}
