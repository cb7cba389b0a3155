// Package accept is the way in: it verifies a webhook, stores it durably and
// only then answers 200. Start with [New] and [Server.Run].
package accept

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// Limits of the public listener. Telnyx waits two seconds for an answer, so
// a sender that needs longer is not Telnyx.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10

	maxPath = 200 // of a rejected request, in the log
)

// DefaultAckBudget is how long storing may take. Telnyx gives up after two
// seconds (Telnyx API v2, messaging); a 503 within that time makes it retry.
const DefaultAckBudget = 1500 * time.Millisecond

// Store is the part of a [store.Store] through which events come in.
type Store interface {
	Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error)
	Record(ctx context.Context, e *delivery.Event, a delivery.Attempt, others []string) (store.Accepted, error)
}

// Config configures a [Server]. Fields must be set unless their zero value is
// documented.
type Config struct {
	Listener net.Listener // closed by Run
	Paths    []string     // where webhooks are POSTed to; CheckPaths says which it takes
	Verifier *webhook.Verifier
	Store    Store
	Route    func(eventType string) []string // names of the targets that want an event
	Wake     func(targets []string)          // called when new jobs are on disk
	Health   *telemetry.Health
	Log      *slog.Logger

	// Entity returns the subject of an event if events of one entity are
	// delivered in order, and "" if the event has no place in an order. nil
	// means that none has.
	Entity func(*webhook.Event) string

	// Sync returns the target that answers events of this type itself, or
	// nil. A nil func means that there is none.
	Sync func(eventType string) Passer

	// Proxies are the peers that are believed about who sent a request. The zero
	// value believes nobody.
	Proxies Proxies

	// AckBudget bounds the time from the header of a request to its answer.
	// Past it the answer is 503. It does not apply to events that a Passer
	// answers. 0 means DefaultAckBudget.
	AckBudget time.Duration

	// MaxConns bounds the open connections. 0 means DefaultMaxConns.
	MaxConns int

	// Files, unless nil, knows when file descriptors run out.
	Files *listen.Files

	// OnAccept and OnReject, unless nil, observe every decision. They run before
	// the answer is sent and must be quick. OnReject may read the body of the
	// request, which is unread, or can be read again from the start.
	OnAccept func(*delivery.Event, store.Accepted, []string)
	OnReject func(*http.Request, Rejection)

	// OnPass, unless nil, observes the attempt of a Passer, and OnAnswer every
	// webhook, to Paths or not, when its answer is written, with one of the
	// results of package telemetry, and how long it took.
	OnPass   func(*delivery.Event, delivery.Attempt)
	OnAnswer func(result string, took time.Duration)

	Tracer *telemetry.Tracer // nil: nothing is traced
}

// Server accepts webhooks over HTTP.
type Server struct {
	cfg  Config
	http *http.Server
	load load
	pool *listen.Pool

	closing atomic.Bool // connections under way are being closed

	verifier atomic.Pointer[webhook.Verifier]
	verified atomic.Pointer[http.Handler] // verifier, and receive behind it
	proxies  atomic.Pointer[proxied]
}

// New checks the configuration and returns a Server that Run starts.
func New(cfg Config) (*Server, error) {
	if cfg.Listener == nil || cfg.Verifier == nil || cfg.Store == nil || cfg.Route == nil ||
		cfg.Wake == nil || cfg.Health == nil || cfg.Log == nil {
		return nil, errors.New("accept: a required field of Config is not set")
	}
	cfg.AckBudget = cmp.Or(cfg.AckBudget, DefaultAckBudget)
	cfg.MaxConns = cmp.Or(cfg.MaxConns, DefaultMaxConns)
	s := &Server{cfg: cfg}
	s.load.most = cmp.Or(max(cfg.Verifier.MaxBody, 0), webhook.DefaultMaxBody)
	mux := http.NewServeMux()
	cfg.Health.Register(mux)
	s.SetVerifier(cfg.Verifier)
	s.SetProxies(cfg.Proxies)
	receive := s.admit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*s.verified.Load()).ServeHTTP(w, r)
	}))
	if err := CheckPaths(cfg.Paths); err != nil {
		return nil, fmt.Errorf("accept: the list of paths %w", err)
	}
	s.http = &http.Server{
		Handler:           s.byPath(receive, mux),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	s.pool = listen.New(listen.Config{Name: "webhooks", Max: cfg.MaxConns, Log: cfg.Log, Files: cfg.Files})
	s.pool.Bind(s.http)
	return s, nil
}

// SetVerifier changes what decides about requests from now on: other keys, or
// another tolerance. The Server answers what it rejects.
func (s *Server) SetVerifier(v *webhook.Verifier) {
	v.SetDenyHandler(http.HandlerFunc(s.reject))
	h := v.Handler(http.HandlerFunc(s.receive))
	s.verifier.Store(v)
	s.verified.Store(&h)
}

// Pool returns the connections of the Server.
func (s *Server) Pool() *listen.Pool { return s.pool }

// Verifier returns the current Verifier.
func (s *Server) Verifier() *webhook.Verifier { return s.verifier.Load() }

// Run serves until ctx ends, then stops listening, answers the requests that
// are under way and returns nil. It returns an error if it cannot serve.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.pool.Listener(s.cfg.Listener)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("accept: serve: %w", err)
	case <-ctx.Done():
	}
	s.load.draining.Store(true)
	// A request under way ends within its own limits.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout+s.cfg.AckBudget)
	defer cancel()
	err := s.http.Shutdown(stop)
	<-failed
	if err != nil {
		s.closing.Store(true)
		_ = s.http.Close() // clients still connected were never acknowledged
		return fmt.Errorf("accept: shutdown: %w", err)
	}
	return nil
}

// receive stores a verified event, or has it answered by its target. The order
// of effects for one that is stored:
//
//  1. the event and its jobs are committed and synced, or the duplicate counted,
//  2. the dispatcher is woken,
//  3. 200 is answered.
//
// A crash before 1 ends means that Telnyx got no answer and sends again. From
// then on the event is safe: a crash before 3 makes Telnyx send a duplicate.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	s.load.prove(of(r))
	listen.Prove(r.Context())
	s.warnOfProxy(r)
	received, _ := webhook.FromContext(r.Context()) // put there by the Verifier
	e := s.event(r, received)
	of(r).span.Event(e.ID, e.Type)
	targets := s.cfg.Route(e.Type)
	if s.cfg.Sync != nil {
		if p := s.cfg.Sync(e.Type); p != nil {
			s.pass(w, r, p, e, targets)
			return
		}
	}
	// Not the request's own context: a client that hangs up after sending
	// everything has sent an event, and storing it makes its retry cheap.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), of(r).arrived.Add(s.cfg.AckBudget))
	defer cancel()
	storing, span := s.cfg.Tracer.Start(ctx, "hookswitch.store")
	accepted, err := s.cfg.Store.Accept(storing, e, targets)
	span.End(err)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			s.cfg.Wake(targets) // it may still be stored, if its commit was under way
		}
		s.cfg.Log.ErrorContext(ctx, "event not accepted, the sender is asked to retry", "code", telemetry.CodeEventNotStored, "event_id", e.ID, "event_type", e.Type, "error", err)
		busy(w, "the event could not be stored")
		return // the result counts as a failure unless set otherwise
	}
	of(r).span.Delivery(accepted.DeliveryID)
	s.accepted(ctx, e, accepted, targets, received.Ambiguous)
	of(r).result, of(r).status = telemetry.Accepted, http.StatusOK
	if accepted.Duplicate {
		of(r).result = telemetry.Duplicate
	}
	// Exactly 200 and no body: Telnyx has an error code (75299) for other 2xx.
	w.WriteHeader(http.StatusOK)
}

// accepted logs an event that is in the store and wakes the dispatcher.
func (s *Server) accepted(ctx context.Context, e *delivery.Event, accepted store.Accepted, targets []string, ambiguous string) {
	log := s.cfg.Log.With("event_id", e.ID, "event_type", e.Type, "delivery_id", accepted.DeliveryID)
	switch {
	case accepted.Duplicate:
		log.InfoContext(ctx, "duplicate acknowledged")
	case ambiguous != "":
		log.WarnContext(ctx, "event accepted, but parsers may disagree about it: it goes to catch-all targets only", "code", telemetry.CodeEventAmbiguous, "reason", ambiguous, "targets", targets)
	default:
		log.InfoContext(ctx, "event accepted", "targets", targets, "key", e.KeyLabel)
	}
	if s.cfg.OnAccept != nil {
		s.cfg.OnAccept(e, accepted, targets)
	}
	if !accepted.Duplicate {
		s.cfg.Wake(targets)
	}
}

// event turns a verified request into the event to store.
func (s *Server) event(r *http.Request, received *webhook.Event) *delivery.Event {
	e := &delivery.Event{
		Key:        received.Key(),
		ID:         received.ID,
		Type:       received.Type,
		OccurredAt: received.OccurredAt.Raw,
		ReceivedAt: time.Now(),
		Method:     r.Method,
		Path:       r.URL.Path,
		RemoteAddr: r.RemoteAddr,
		Header:     delivery.ListHeader(r.Header),
		Body:       received.Raw,
		PayloadLen: -1,
		KeyLabel:   received.Signature.KeyLabel,
		SignedAt:   received.Signature.Timestamp,

		Traceparent: telemetry.Traceparent(r.Context()),
	}
	if s.cfg.Entity != nil {
		e.Entity, e.OrderAt = s.cfg.Entity(received), received.OccurredAt.Time
	}
	if received.Payload != nil {
		// The first place with the same text serves as well as the real one.
		// The search takes less than 0.1 µs; a field of webhook.Event that
		// spares it would be public API for this alone.
		e.PayloadOff = bytes.Index(received.Raw, received.Payload)
		e.PayloadLen = len(received.Payload)
	}
	return e
}

// reject reports why the Verifier refused a request. The sender only learns the reason
// word; the answer is the Verifier's own.
func (s *Server) reject(w http.ResponseWriter, r *http.Request) {
	if of(r).shed.Load() || listen.Shed(r.Context()) {
		w.Header().Set("Connection", "close") // the rest of the body will not be read
		busy(w, "the request was too slow: its place was needed for another")
		return
	}
	denial := webhook.Denial(r.Context())
	s.rejected(r, Rejection{Reason: denial.Reason, Status: denial.Status, Err: denial})
	webhook.Deny(w, r)
}

// rejected logs a rejected request, whatever the reason.
func (s *Server) rejected(r *http.Request, why Rejection) {
	s.cfg.Log.WarnContext(r.Context(), "request rejected", "code", telemetry.CodeRequestRejected, "reason", why.Reason, "status", why.Status,
		"remote", r.RemoteAddr, "path", untrusted.Clip(r.URL.Path, maxPath), "error", why.Err)
	if s.cfg.OnReject != nil {
		s.cfg.OnReject(r, why)
	}
	of(r).result, of(r).status = telemetry.Rejected, why.Status
}
