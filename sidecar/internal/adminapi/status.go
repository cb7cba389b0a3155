package adminapi

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
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
	Name        string     `json:"name"`
	State       string     `json:"state"`
	Version     string     `json:"version"`
	LastError   string     `json:"last_error"`
	LastErrorAt *time.Time `json:"last_error_at"`
}

// StoreStatus is the size of the store.
type StoreStatus struct {
	Error    string `json:"error"` // why targets, unhandled and bytes are not known, or ""
	Bytes    int64  `json:"bytes"`
	DiskFree uint64 `json:"disk_free_bytes"` // of the data directory; 0 if it is not known
}

// Warning is a line of the sidecar's log.
type Warning struct {
	Time    time.Time         `json:"time"`
	Level   string            `json:"level"` // WARN or ERROR
	Message string            `json:"message"`
	Attrs   map[string]string `json:"attrs"`
}

func (a *API) warnings(w http.ResponseWriter, _ *http.Request) error {
	list := []Warning{} // never null
	if a.cfg.Warnings != nil {
		list = append(list, a.cfg.Warnings()...)
	}
	return reply(w, http.StatusOK, map[string]any{"data": list})
}

func (a *API) status(w http.ResponseWriter, r *http.Request) error {
	s, err := a.cfg.Status(r.Context())
	if err != nil {
		return err
	}
	s.Paths, s.Warnings = append([]string{}, s.Paths...), append([]string{}, s.Warnings...) // never null
	return reply(w, http.StatusOK, s)
}

// CountTargets counts the jobs of every configured target, and of targets that are
// gone and left some, in the order of their names.
func CountTargets(jobs []store.JobStats, configured []string) []TargetStatus {
	names := slices.Clone(configured)
	for _, j := range jobs {
		if !slices.Contains(names, j.Target) {
			names = append(names, j.Target)
		}
	}
	slices.Sort(names)
	list := make([]TargetStatus, 0, len(names))
	for _, name := range names {
		t := TargetStatus{Target: name, Configured: slices.Contains(configured, name)}
		for _, j := range jobs {
			if j.Target != name {
				continue
			}
			switch j.Status {
			case store.StatusDead:
				t.Dead += j.Count
				continue
			case store.StatusRetrying:
				t.Retrying += j.Count
			default:
				t.Pending += j.Count
			}
			if oldest := j.Oldest.UTC(); t.Oldest == nil || oldest.Before(*t.Oldest) {
				t.Oldest = &oldest
			}
		}
		list = append(list, t)
	}
	return list
}

// Strays counts the requests that looked like webhooks, but came to a path that
// receives none. The zero value is ready; it is safe for concurrent use.
type Strays struct {
	mu   sync.Mutex
	seen StrayStatus // guarded by mu
}

// Note counts a request.
func (s *Strays) Note(path string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = StrayStatus{Count: s.seen.Count + 1, Path: path, At: &at}
}

// Status returns the number of requests, and the path and time of the latest.
func (s *Strays) Status() StrayStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}
