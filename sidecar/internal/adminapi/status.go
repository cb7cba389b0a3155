package adminapi

import (
	"net/http"
	"time"
)

// Status is the state of the sidecar. Fields are only ever added.
type Status struct {
	Version      string         `json:"version"`
	Ready        bool           `json:"ready"`
	Unready      string         `json:"unready"`  // why it is not ready, or ""
	Warnings     []string       `json:"warnings"` // problems that do not make it unready
	Dev          bool           `json:"dev"`
	StartedAt    *time.Time     `json:"started_at"`
	Uptime       float64        `json:"uptime_seconds"`
	Webhooks     string         `json:"webhooks"` // URL that webhooks are POSTed to
	Keys         []string       `json:"keys"`     // labels
	Ack          AckStatus      `json:"ack"`
	RejectedKept int            `json:"rejected_kept"` // requests that /api/v1/rejected has
	Paths        []string       `json:"paths"`         // that webhooks are received on
	Strays       StrayStatus    `json:"strays"`
	Unhandled    int            `json:"unhandled"` // events that no target wanted
	Targets      []TargetStatus `json:"targets"`
	Plugins      []PluginStatus `json:"plugins"`
	Store        StoreStatus    `json:"store"`
}

// AckStatus sums up the answers to webhooks in the last minute. Times are those
// of accepted ones, and 0 if there were none.
type AckStatus struct {
	Rate         float64 `json:"accepted_per_second"`
	RejectedRate float64 `json:"rejected_per_second"`
	P50          float64 `json:"p50_seconds"`
	P99          float64 `json:"p99_seconds"`
}

// StrayStatus counts the requests since the start that looked like webhooks, but
// came to a path that receives none.
type StrayStatus struct {
	Count int        `json:"count"`
	Path  string     `json:"path"` // of the latest; "" if there was none
	At    *time.Time `json:"at"`   // of the latest
}

// TargetStatus counts the jobs of a target that are not done.
type TargetStatus struct {
	Target     string     `json:"target"`
	Configured bool       `json:"configured"` // false: it has gone, and left jobs
	Pending    int        `json:"pending"`    // not attempted in this round
	Retrying   int        `json:"retrying"`
	Dead       int        `json:"dead"`
	Oldest     *time.Time `json:"oldest"` // since when the oldest of the waiting ones has waited
}

// PluginStatus sums up a plugin; /api/v1/plugins has more.
type PluginStatus struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	Version   string `json:"version"`
	LastError string `json:"last_error"`
}

// StoreStatus is the size of the store.
type StoreStatus struct {
	Error    string `json:"error"` // why targets, unhandled and bytes are not known, or ""
	Bytes    int64  `json:"bytes"`
	DiskFree uint64 `json:"disk_free_bytes"` // of the data directory; 0 if it is not known
}

func (a *API) status(w http.ResponseWriter, r *http.Request) error {
	if err := noParameters(r); err != nil {
		return err
	}
	if a.cfg.Status == nil {
		return problem(http.StatusNotFound, "not-found", "this sidecar does not report its status")
	}
	s, err := a.cfg.Status(r.Context())
	if err != nil {
		return err
	}
	s.Paths, s.Warnings = append([]string{}, s.Paths...), append([]string{}, s.Warnings...) // never null
	return reply(w, http.StatusOK, s)
}
