package adminapi

import (
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
)

// Plugins is the part of a [pluginhost.Host] that the API shows.
type Plugins interface {
	Status() []pluginhost.Status
}

// Plugin is a plugin and what it is doing.
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
	Suspects     int           `json:"suspects"`      // events that were there when a process died
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

func (a *API) pluginStatus() []pluginhost.Status {
	if a.cfg.Plugins == nil {
		return nil
	}
	return a.cfg.Plugins.Status()
}

func (a *API) listPlugins(w http.ResponseWriter, r *http.Request) error {
	if err := noParameters(r); err != nil {
		return err
	}
	list := []Plugin{}
	for _, s := range a.pluginStatus() {
		list = append(list, viewPlugin(s))
	}
	return reply(w, http.StatusOK, map[string]any{"data": list})
}

func (a *API) getPlugin(w http.ResponseWriter, r *http.Request) error {
	if err := noParameters(r); err != nil {
		return err
	}
	s, err := a.plugin(r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, viewPlugin(s))
}

// plugin returns the plugin that the path names, with or without "plugin:".
func (a *API) plugin(r *http.Request) (pluginhost.Status, error) {
	name := r.PathValue("name")
	for _, s := range a.pluginStatus() {
		if s.Name == name || s.Target() == name {
			return s, nil
		}
	}
	return pluginhost.Status{}, problem(http.StatusNotFound, "not-found", "there is no plugin "+name+": GET /api/v1/plugins lists them")
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
