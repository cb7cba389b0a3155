// Package telemetry is how the sidecar tells what it is doing: health
// endpoints and the form of its log. Any part of the sidecar may import it.
package telemetry

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// Health answers /livez and /readyz. Readiness says whether webhooks can be
// accepted at this moment. It never depends on plugins or on the app behind
// the sidecar: to accept while those are down is what the sidecar is for.
//
// A Health is not ready until SetReady(true). It is safe for concurrent use.
type Health struct {
	ready atomic.Bool
	check func(context.Context) error
}

// NewHealth returns a Health whose readiness also needs check to succeed, for
// which it gives a second. A nil check always succeeds.
func NewHealth(check func(context.Context) error) *Health {
	return &Health{check: check}
}

// SetReady says whether the sidecar accepts webhooks: false before the
// listeners are open and from the beginning of the shutdown.
func (h *Health) SetReady(ready bool) { h.ready.Store(ready) }

// Ready reports what SetReady was told last.
func (h *Health) Ready() bool { return h.ready.Load() }

// Register adds GET /livez and GET /readyz to mux. Their answers are not
// logged.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !h.ready.Load() {
			answer(w, http.StatusServiceUnavailable, "not ready: starting or stopping\n")
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if h.check != nil && h.check(ctx) != nil {
			// The cause may name paths: it is for the log, not for strangers.
			answer(w, http.StatusServiceUnavailable, "not ready: the store cannot be written\n")
			return
		}
		answer(w, http.StatusOK, "ok\n")
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
