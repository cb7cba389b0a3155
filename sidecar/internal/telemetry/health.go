// Package telemetry reports what the sidecar is doing: health endpoints,
// metrics, traces, alerts, and the form and the codes of its log. Any part of
// the sidecar may import it.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Health answers /livez and /readyz. Readiness means that webhooks can be
// accepted at the moment. It never depends on plugins or on the app behind the
// sidecar, whose purpose is to accept while those are down. Liveness fails if a
// restart would help.
//
// A Health is not ready until SetReady(true). It is safe for concurrent use.
type Health struct {
	ready  atomic.Bool
	doubt  atomic.Bool // see Doubt
	log    *slog.Logger
	checks [2][]*check // by kind
	notes  []note
}

// note is a warning that does not make the sidecar unready.
type note struct {
	name string
	say  func(context.Context) string // "" while there is none
}

const (
	live = iota
	ready
)

// check is one condition that must hold.
type check struct {
	name string
	run  func(context.Context) error
	keep time.Duration // how long a result is valid
	cost bool          // Run skips it while it is well and not in doubt

	mu  sync.Mutex
	at  time.Time // guarded by mu: of the last result
	err error     // guarded by mu: the last result
}

const (
	// checkTimeout is how long a check may take; probes usually wait for a
	// second.
	checkTimeout = time.Second

	// keepStore is how long the store is not checked again: it is a write, and
	// anybody may ask on the public listener.
	keepStore = time.Second

	// lookEvery is how often Run checks.
	lookEvery = time.Second
)

// Replaced is the error of a check that found other files in place of the open
// ones. It is logged as an error with its own code.
type Replaced struct{ Err error }

func (r Replaced) Error() string { return r.Err.Error() }
func (r Replaced) Unwrap() error { return r.Err }

// NewHealth returns a Health whose readiness also needs writable to succeed: the
// store can be written. A nil func is left out.
func NewHealth(writable func(context.Context) error) *Health {
	h := &Health{log: slog.New(slog.DiscardHandler)}
	if writable != nil {
		h.NeedReady("store", writable)
		h.checks[ready][0].keep, h.checks[ready][0].cost = keepStore, true
	}
	return h
}

// LogTo logs changes of checks: once when one begins to fail, with the cause,
// and once when it is well again. Probes are not logged. Like NeedReady and
// NeedLive it is called before the first probe.
func (h *Health) LogTo(log *slog.Logger) { h.log = log }

// NeedReady makes readiness depend on a check.
func (h *Health) NeedReady(name string, run func(context.Context) error) {
	h.checks[ready] = append(h.checks[ready], &check{name: name, run: run})
}

// NeedLive makes liveness depend on a check, which must never fail unless the
// process is no longer of any use.
func (h *Health) NeedLive(name string, run func(context.Context) error) {
	h.checks[live] = append(h.checks[live], &check{name: name, run: run})
}

// Note adds a warning that readiness does not depend on: say returns it, or "".
// It is called by every verbose probe and by Notes, so it must be quick. Anybody
// may see the text, so it names no secret and no path. Like NeedReady, Note is
// called before the first probe.
func (h *Health) Note(name string, say func(context.Context) string) {
	h.notes = append(h.notes, note{name, say})
}

// Notes returns the current warnings, each as "name: text".
func (h *Health) Notes(ctx context.Context) (list []string) {
	for _, n := range h.notes {
		if text := n.say(ctx); text != "" {
			list = append(list, n.name+": "+text)
		}
	}
	return list
}

// SetReady sets whether the sidecar accepts webhooks: false before the listeners
// are open and from the beginning of the shutdown.
func (h *Health) SetReady(ready bool) { h.ready.Store(ready) }

// Serving reports whether the sidecar has started and was not told to stop.
func (h *Health) Serving() bool { return h.ready.Load() }

// Unready returns why the sidecar is not ready, in a word or a few, or "".
func (h *Health) Unready(ctx context.Context) string {
	if !h.ready.Load() {
		return "starting or stopping"
	}
	for _, c := range h.checks[ready] {
		if !h.well(ctx, c) {
			return c.name + " failed"
		}
	}
	return ""
}

// Register adds GET /livez and GET /readyz to mux; with ?verbose they list each
// check, and the warnings of Note. They only tell which one failed: the cause,
// which may name paths, is in the log.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) {
		h.answer(w, r, "not alive", []string{"+process"}, h.checks[live])
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		serving := "+listening, not draining"
		if !h.ready.Load() {
			serving = "-starting or stopping"
		}
		h.answer(w, r, "not ready", []string{serving}, h.checks[ready])
	})
}

// answer runs checks. lines are those done already, "+" for good, "-" for bad.
func (h *Health) answer(w http.ResponseWriter, r *http.Request, bad string, lines []string, checks []*check) {
	for _, c := range checks {
		if h.well(r.Context(), c) {
			lines = append(lines, "+"+c.name)
		} else {
			lines = append(lines, "-"+c.name)
		}
	}
	status, first := http.StatusOK, "ok"
	var list strings.Builder
	for _, line := range lines {
		verdict := "ok"
		if line[0] == '-' {
			verdict = "failed"
			if status == http.StatusOK {
				status, first = http.StatusServiceUnavailable, bad+": "+line[1:]
			}
		}
		fmt.Fprintf(&list, "[%c] %s: %s\n", line[0], line[1:], verdict)
	}
	text := first + "\n"
	if r.URL.Query().Has("verbose") {
		if r.URL.Path == "/readyz" {
			for _, note := range h.Notes(r.Context()) {
				fmt.Fprintf(&list, "[!] %s\n", note)
			}
		}
		text = list.String() + text
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// Doubt makes Run check the store soon. It does not block.
func (h *Health) Doubt() { h.doubt.Store(true) }

// Run runs the checks every second until ctx ends, so that a change is logged
// whether or not somebody probes. The store is only checked while it fails or is
// in doubt, since each check is a commit. It returns nil.
func (h *Health) Run(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		doubt := h.doubt.Swap(false)
		for _, checks := range h.checks {
			for _, c := range checks {
				if !c.cost || c.doubtful(doubt) {
					h.well(ctx, c)
				}
			}
		}
	}
}

// doubtful reports whether the last result of a check was bad, or is in doubt
// and so no longer valid.
func (c *check) doubtful(doubt bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if doubt {
		c.at = time.Time{}
	}
	return doubt || c.err != nil
}

// well runs a check, unless its last result is still valid. A caller that hangs
// up does not end the check for the others.
func (h *Health) well(ctx context.Context, c *check) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < c.keep {
		return c.err == nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	err := c.run(ctx)
	if (err != nil) != (c.err != nil) {
		_, replaced := errors.AsType[Replaced](err)
		switch {
		case replaced:
			h.log.Error("a health check fails", "code", CodeDataReplaced, "check", c.name, "error", err)
		case err != nil:
			h.log.Warn("a health check fails", "code", CodeUnhealthy, "check", c.name, "error", err)
		default:
			h.log.Info("a health check is well again", "check", c.name)
		}
	}
	c.at, c.err = time.Now(), err
	return err == nil
}

// DiskAbove returns a check that a directory's disk has more than floor bytes
// left. Where free space is not known it succeeds.
func DiskAbove(dir string, floor uint64) func(context.Context) error {
	return func(context.Context) error {
		if free, err := DiskFree(dir); err == nil && free < floor {
			return fmt.Errorf("%s has %d MiB left, less than %d: make room, or lower HOOKSWITCH_DISK_FLOOR", dir, free>>20, floor>>20)
		}
		return nil
	}
}
