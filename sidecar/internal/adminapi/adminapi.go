// Package adminapi is a JSON API for operating the sidecar: to list events,
// export them, deliver them again, and deal with dead letters. The command line
// of hookswitch is its client; openapi.json describes it.
//
// Start with [New]. [API.Handler] is for a listener, [API.LocalHandler] for the
// unix socket of [ListenSocket].
package adminapi

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

//go:embed openapi.json
var openAPI []byte

// Store is the part of a [store.Store] that people look at and change by hand.
type Store interface {
	Delivery(ctx context.Context, id string) (*store.Delivery, error)
	Events(ctx context.Context, q store.Query, before int64, limit int) (store.Page, error)
	DeadGroups(ctx context.Context, q store.Query) ([]store.DeadGroup, error)
	Discard(ctx context.Context, q store.Query) (int, error)
	Hurry(ctx context.Context, q store.Query, now time.Time, limit int) (moved int, targets []string, err error)
	PreviewReplay(ctx context.Context, q store.Query) (store.Preview, error)
	CreateReplay(ctx context.Context, r *store.Replay) error
	CancelReplay(ctx context.Context, id string) (store.Replay, error)
	Replay(ctx context.Context, id string) (store.Replay, error)
	Replays(ctx context.Context, running bool) ([]store.Replay, error)
}

// Config configures an [API]. Fields are required unless their zero value is
// documented.
type Config struct {
	Store   Store
	Targets func() []string // names of the configured targets

	// Replays is notified of new replays. nil: they are found after a while.
	Replays interface{ Poke() }

	// Wake is told of targets that have work. nil: they find it after a while.
	Wake func(targets []string)

	// Plugins are shown and managed.
	Plugins Plugins

	// Token is the bearer token that Handler requires. Empty: none is
	// required, and the listener must be out of reach of strangers.
	Token string

	// Feed and Rejects have the latest events and rejected requests, and
	// Verify explains the signature of a request with the sidecar's keys as
	// if it were at.
	Feed    *live.Feed
	Rejects *live.Rejects
	Verify  func(at time.Time, h http.Header, body []byte) webhook.Explanation

	// Status returns the state of the sidecar, Settings the settings in effect,
	// and Reload reads them again.
	Status   func(context.Context) (Status, error)
	Settings func() []Setting
	Reload   func(context.Context) (Reloaded, error)

	// TestAlert sends a test alert.
	TestAlert func(context.Context) (AlertTest, error)

	// Warnings returns the latest warnings and errors of the log, the oldest
	// first. nil: there are none.
	Warnings func() []Warning

	Log *slog.Logger // nil discards
}

// API serves /api/v1. Its handlers are safe for concurrent use.
type API struct {
	cfg   Config
	token atomic.Pointer[[sha256.Size]byte] // digest of the token, nil when none is asked for
	mux   *http.ServeMux

	viewers atomic.Int32 // of the stream
}

// New returns an API.
func New(cfg Config) (*API, error) {
	if cfg.Store == nil || cfg.Targets == nil || cfg.Plugins == nil || cfg.Feed == nil || cfg.Rejects == nil ||
		cfg.Verify == nil || cfg.Status == nil || cfg.Settings == nil || cfg.Reload == nil || cfg.TestAlert == nil {
		return nil, errors.New("adminapi: a required field of Config is not set")
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	a := &API{cfg: cfg, mux: http.NewServeMux()}
	a.SetToken(cfg.Token)
	for _, r := range a.routes() {
		a.mux.Handle(r.method+" "+r.path, a.handler(r.guarded()))
	}
	a.mux.Handle("/", a.handler(a.nothing))
	return a, nil
}

// SetToken changes Config.Token, for requests from now on.
func (a *API) SetToken(token string) {
	if token == "" {
		a.token.Store(nil)
		return
	}
	sum := sha256.Sum256([]byte(token))
	a.token.Store(&sum)
}

// nothing answers requests without a route.
func (a *API) nothing(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{"GET", "POST", "DELETE"} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return NewProblem(http.StatusNotFound, "not-found", "there is no "+r.URL.Path+": see /api/v1/openapi.json")
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return NewProblem(http.StatusMethodNotAllowed, "method-not-allowed", "use "+strings.Join(allowed, " or "))
}

// route is one operation of the API.
type route struct {
	method, path string
	serve        operation
}

// operation answers a request, or returns the error to answer with.
type operation func(http.ResponseWriter, *http.Request) error

// plain returns an operation without parameters in the query string.
func plain(serve operation) operation {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.RawQuery != "" {
			return badRequest("this takes no parameters")
		}
		return serve(w, r)
	}
}

func (a *API) routes() []route {
	return []route{
		{"GET", "/api/v1/openapi.json", plain(a.openAPI)},
		{"GET", "/api/v1/events", a.list("")},
		{"GET", "/api/v1/events/export", a.exportEvents},
		{"GET", "/api/v1/events/{id}", plain(a.getEvent)},
		{"GET", "/api/v1/events/{id}/payload", plain(a.getPayload)},
		{"GET", "/api/v1/stream", a.stream},
		{"GET", "/api/v1/rejected", plain(a.listRejected)},
		{"GET", "/api/v1/rejected/{id}", plain(a.getRejected)},
		{"POST", "/api/v1/verify", plain(a.verify)},
		{"GET", "/api/v1/status", plain(a.status)},
		{"GET", "/api/v1/warnings", plain(a.warnings)},
		{"GET", "/api/v1/replays", plain(a.listReplays)},
		{"POST", "/api/v1/replays", plain(a.createReplay)},
		{"GET", "/api/v1/replays/{id}", plain(a.replayBy(a.cfg.Store.Replay))},
		{"DELETE", "/api/v1/replays/{id}", plain(a.replayBy(a.cfg.Store.CancelReplay))},
		{"GET", "/api/v1/plugins", plain(a.listPlugins)},
		{"GET", "/api/v1/plugins/{name}", plain(a.getPlugin)},
		{"GET", "/api/v1/plugins/{name}/logs", a.pluginLogs},
		{"POST", "/api/v1/plugins/{name}/reload", plain(a.steerPlugin(Plugins.Reload))},
		{"POST", "/api/v1/plugins/{name}/enable", plain(a.steerPlugin(enabled(true)))},
		{"POST", "/api/v1/plugins/{name}/disable", plain(a.steerPlugin(enabled(false)))},
		{"POST", "/api/v1/plugins/{name}/rollback", plain(a.steerPlugin(Plugins.Rollback))},
		{"GET", "/api/v1/config", plain(a.getConfig)},
		{"POST", "/api/v1/reload", plain(a.reloadConfig)},
		{"POST", "/api/v1/alerts/test", plain(a.testAlert)},
		{"POST", "/api/v1/retry", plain(a.retry)},
		{"GET", "/api/v1/dead-letters", a.list(store.StatusDead)},
		{"GET", "/api/v1/dead-letters/groups", a.deadGroups},
		{"POST", "/api/v1/dead-letters/requeue", plain(a.requeueDead)},
		{"POST", "/api/v1/dead-letters/discard", plain(a.discardDead)},
	}
}

// Handler serves the API on a network listener: with the token, if there is
// one. Keeping out pages of other origins is left to the listener.
func (a *API) Handler() http.Handler { return a.Protect(a.mux) }

// LocalHandler serves the API where the listener itself only lets authorised
// users in: a socket's mode is its token.
func (a *API) LocalHandler() http.Handler { return a.mux }

// Protect protects a handler beside the API like the API itself. It compares
// digests, so that the time taken does not even show the length of the token.
func (a *API) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
		want := a.token.Load()
		if want != nil && (!strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], want[:]) != 1) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			a.fail(w, r, NewProblem(http.StatusUnauthorized, "unauthorized", "send the token of HOOKSWITCH_ADMIN_TOKEN as Authorization: Bearer TOKEN"))
			return
		}
		listen.Prove(r.Context())
		next.ServeHTTP(w, r)
	})
}

func (a *API) handler(serve operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *API) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI)
	return nil
}
