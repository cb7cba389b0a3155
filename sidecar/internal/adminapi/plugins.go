package adminapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// Plugins is the part of a [pluginhost.Host] that the API shows.
type Plugins interface {
	Status() []pluginhost.Status
	Reload(ctx context.Context, name string) error
	SetEnabled(ctx context.Context, name string, enabled bool) error
	Rollback(ctx context.Context, name string) error
	Logs(ctx context.Context, name string, lines int, follow bool, each func(json.RawMessage) error) error
}

// Plugin is a plugin and its state.
type Plugin struct {
	Name         string        `json:"name"`
	File         string        `json:"file"`
	State        string        `json:"state"` // verifying, starting, ready, backoff, failed, disabled, draining or stopped
	Since        *time.Time    `json:"since"` // of the state
	Enabled      bool          `json:"enabled"`
	PID          int           `json:"pid"`      // 0: no process
	UpSince      *time.Time    `json:"up_since"` // of the process
	Version      string        `json:"version"`
	SDK          string        `json:"sdk"`
	Events       []string      `json:"events"` // patterns
	Digest       string        `json:"digest"` // SHA-256 of its program
	Rollback     bool          `json:"rollback"`
	Restarts     int           `json:"restarts"`
	Reloads      int           `json:"reloads"`
	LastError    string        `json:"last_error"`
	LastErrorAt  *time.Time    `json:"last_error_at"`
	UpdateFailed *UpdateFailed `json:"update_failed"`
	InFlight     int           `json:"in_flight"`
	Credit       int           `json:"credit"`
	Suspects     int           `json:"suspects"`      // events it had when a process died
	DroppedLines int           `json:"dropped_lines"` // of the process's log
	Done         uint64        `json:"done"`          // these four since the sidecar started
	Retried      uint64        `json:"retried"`
	Dead         uint64        `json:"dead"`
	Crashed      uint64        `json:"crashed"`
	Rate         float64       `json:"rate"`   // results per second, and
	P50MS        float64       `json:"p50_ms"` // times, over the last minute or two
	P99MS        float64       `json:"p99_ms"`
}

// UpdateFailed is a new program, or new settings, that did not come up.
type UpdateFailed struct {
	Digest string     `json:"digest"`
	Reason string     `json:"reason"`
	At     *time.Time `json:"at"`
}

func (a *API) listPlugins(w http.ResponseWriter, _ *http.Request) error {
	return replyList(w, a.cfg.Plugins.Status(), viewPlugin)
}

func (a *API) getPlugin(w http.ResponseWriter, r *http.Request) error {
	s, err := a.plugin(r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, viewPlugin(s))
}

// plugin returns the plugin named in the path, with or without "plugin:".
func (a *API) plugin(r *http.Request) (pluginhost.Status, error) {
	name := r.PathValue("name")
	var names []string
	for _, s := range a.cfg.Plugins.Status() {
		if s.Name == name || s.Target() == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	hint := "there are " + cmp.Or(strings.Join(names, ", "), "none")
	if guess := spelling.Closest(name, names); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	}
	return pluginhost.Status{}, NewProblem(http.StatusNotFound, "not-found", "there is no plugin "+name+": "+hint)
}

// steerPlugin returns a handler that does something to a plugin, waits for the
// result, and answers with the plugin's new state.
func (a *API) steerPlugin(do func(Plugins, context.Context, string) error) operation {
	return func(w http.ResponseWriter, r *http.Request) error {
		s, err := a.runnable(r)
		if err != nil {
			return err
		}
		switch err := do(a.cfg.Plugins, r.Context(), s.Name); {
		case errors.Is(err, pluginhost.ErrNoPlugin):
			return NewProblem(http.StatusNotFound, "not-found", "the plugin "+s.Name+" has gone meanwhile")
		case errors.Is(err, pluginhost.ErrStopped):
			return NewProblem(http.StatusServiceUnavailable, "stopping", "the plugin is being removed")
		case err != nil && r.Context().Err() != nil:
			return r.Context().Err()
		case err != nil:
			return NewProblem(http.StatusConflict, "plugin", s.Name+": "+err.Error())
		}
		if s, err = a.plugin(r); err != nil {
			return err
		}
		return reply(w, http.StatusOK, viewPlugin(s))
	}
}

// runnable is plugin without files that cannot be one.
func (a *API) runnable(r *http.Request) (pluginhost.Status, error) {
	s, err := a.plugin(r)
	if err == nil && s.Misfit {
		err = NewProblem(http.StatusConflict, "plugin", s.File+" is not run as a plugin: "+s.LastError)
	}
	return s, err
}

// enabled enables or disables a plugin.
func enabled(on bool) func(Plugins, context.Context, string) error {
	return func(p Plugins, ctx context.Context, name string) error { return p.SetEnabled(ctx, name, on) }
}

// pluginLogs streams lines of JSON: the last of a plugin's log and, with follow,
// new ones.
func (a *API) pluginLogs(w http.ResponseWriter, r *http.Request) error {
	s, err := a.runnable(r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	for name := range query {
		if name != "lines" && name != "follow" {
			return badRequest("there is no parameter " + name + ": use lines and follow")
		}
	}
	lines := 100
	if text := query.Get("lines"); text != "" {
		if lines, err = strconv.Atoi(text); err != nil || lines < 0 {
			return badRequest("lines: give a number of 0 or more")
		}
	}
	follow := query.Get("follow")
	if follow != "" && follow != "0" && follow != "1" {
		return badRequest("follow: use 1 or 0")
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	_ = out.Flush()
	return a.cfg.Plugins.Logs(r.Context(), s.Name, lines, follow == "1", func(line json.RawMessage) error {
		if _, err := w.Write(append(line[:len(line):len(line)], '\n')); err != nil {
			return r.Context().Err() // the reader has gone
		}
		if follow == "1" {
			_ = out.Flush()
		}
		return nil
	})
}

func viewPlugin(s pluginhost.Status) Plugin {
	v := Plugin{
		Name: s.Name, File: s.File, State: string(s.State), Since: instant(s.Since), Enabled: s.Enabled,
		PID: s.PID, UpSince: instant(s.Up), Version: s.Version, SDK: s.SDK, Events: append([]string{}, s.Patterns...),
		Digest: s.Digest, Rollback: s.Rollback, Restarts: s.Restarts, Reloads: s.Reloads,
		LastError: s.LastError, LastErrorAt: instant(s.LastErrorAt),
		InFlight: s.InFlight, Credit: s.Credit, Suspects: s.Suspects, DroppedLines: s.DroppedLines,
		Done: s.Done, Retried: s.Retried, Dead: s.Dead, Crashed: s.Crashed,
		Rate: s.Rate, P50MS: milliseconds(s.P50), P99MS: milliseconds(s.P99),
	}
	if s.Update != nil {
		v.UpdateFailed = &UpdateFailed{Digest: s.Update.Digest, Reason: s.Update.Reason, At: instant(s.Update.At)}
	}
	return v
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
