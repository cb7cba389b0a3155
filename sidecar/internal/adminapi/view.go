package adminapi

import (
	"encoding/json"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Fields of these types are only ever added.

// Event is an event and its deliveries.
type Event struct {
	ID         string     `json:"id"`
	DeliveryID string     `json:"delivery_id"`
	Type       string     `json:"type"`
	Status     string     `json:"status"` // of all jobs: pending, done, dead, discarded or unhandled
	OccurredAt string     `json:"occurred_at,omitempty"`
	ReceivedAt *time.Time `json:"received_at"`
	Path       string     `json:"path"`
	RemoteAddr string     `json:"remote_addr"`
	KeyLabel   string     `json:"key_label"`
	SignedAt   *time.Time `json:"signed_at"`
	Duplicates int        `json:"duplicates"`
	Jobs       []Job      `json:"jobs"`

	// The rest is present when a single event is requested.
	Headers  [][2]string     `json:"headers,omitempty"`
	Attempts []Attempt       `json:"attempts,omitempty"` // most recent first
	Body     json.RawMessage `json:"body,omitempty"`     // if it is JSON, and not too deep; the payload endpoint has the exact bytes
	BodySize int             `json:"body_size,omitempty"`
}

// Job is the state of an event at one target.
type Job struct {
	Target   string     `json:"target"`
	State    string     `json:"state"`
	Attempts int        `json:"attempts"`
	Round    int        `json:"round"` // 0, and one more with each replay
	NextAt   *time.Time `json:"next_at"`
	Last     *Attempt   `json:"last_attempt"`
}

// Attempt is one try. Bodies are cut off at 10,000 bytes.
type Attempt struct {
	Target          string      `json:"target"`
	N               int         `json:"n"`
	StartedAt       *time.Time  `json:"started_at"`
	FinishedAt      *time.Time  `json:"finished_at"`
	Outcome         string      `json:"outcome"` // done, retry, dead or lost
	RequestURL      string      `json:"request_url"`
	ResponseStatus  int         `json:"response_status"` // 0: no answer
	ErrorCodes      []int       `json:"error_codes"`
	Error           string      `json:"error"`
	RequestHeaders  [][2]string `json:"request_headers,omitempty"`
	ResponseHeaders [][2]string `json:"response_headers,omitempty"`
	ResponseBody    string      `json:"response_body,omitempty"`
}

// EventPage is a part of a list of events.
type EventPage struct {
	Data []Event `json:"data"`

	// NextCursor is the cursor of the next part, and empty at the end. A part
	// may be empty without being the last.
	NextCursor string `json:"next_cursor"`
}

// Replay is an order to deliver events again.
type Replay struct {
	ID         string     `json:"id"`
	State      string     `json:"state"` // running, done or cancelled
	CreatedAt  *time.Time `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Targets    []string   `json:"targets"` // empty: those that the events had
	Rate       float64    `json:"rate"`    // events per second, 0: no limit
	Total      int        `json:"total"`
	Seen       int        `json:"seen"`
	Queued     int        `json:"queued"`  // deliveries
	Skipped    int        `json:"skipped"` // events
}

// Preview counts what a replay, or a discard, would affect.
type Preview struct {
	DryRun  bool           `json:"dry_run"`
	Events  int            `json:"events"`
	Types   map[string]int `json:"types"`
	Oldest  *time.Time     `json:"oldest"`
	Newest  *time.Time     `json:"newest"`
	Targets []string       `json:"targets"`
}

// DeadGroup counts dead letters that look alike.
type DeadGroup struct {
	Target         string     `json:"target"`
	EventType      string     `json:"event_type"`
	Error          string     `json:"error"`
	ErrorCode      int        `json:"error_code"`
	ResponseStatus int        `json:"response_status"`
	Count          int        `json:"count"`
	Oldest         *time.Time `json:"oldest"`
	Newest         *time.Time `json:"newest"`
}

// Instant returns nil for the zero time.
func Instant(t time.Time) *time.Time { return instant(t) }

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// viewEvent shows a delivery with only the latest attempt of each job.
func viewEvent(d *store.Delivery) Event {
	e := d.Event
	v := Event{
		ID: e.ID, DeliveryID: e.DeliveryID, Type: e.Type, Status: status(d.Jobs), OccurredAt: e.OccurredAt,
		ReceivedAt: instant(e.ReceivedAt), Path: e.Path, RemoteAddr: e.RemoteAddr, KeyLabel: e.KeyLabel,
		SignedAt: instant(e.SignedAt), Duplicates: e.Duplicates, Jobs: []Job{},
	}
	for _, j := range d.Jobs {
		job := Job{Target: j.Target, State: string(j.State), Attempts: j.Attempts, Round: j.Round, NextAt: instant(j.NextAt)}
		for _, a := range d.Attempts {
			if a.JobID == j.ID && a.N == j.Attempts {
				last := viewAttempt(a)
				last.RequestHeaders, last.ResponseHeaders, last.ResponseBody = nil, nil, ""
				job.Last = &last
			}
		}
		v.Jobs = append(v.Jobs, job)
	}
	return v
}

// status sums up jobs: those that need attention first.
func status(jobs []delivery.Job) string {
	for _, state := range []delivery.State{delivery.Dead, delivery.Pending, delivery.Discarded, delivery.Done} {
		for _, j := range jobs {
			if j.State == state {
				return string(state)
			}
		}
	}
	return string(store.StatusUnhandled)
}

func viewAttempt(a delivery.Attempt) Attempt {
	return Attempt{
		Target: a.Target, N: a.N, StartedAt: instant(a.StartedAt), FinishedAt: instant(a.FinishedAt),
		Outcome: string(a.Outcome), RequestURL: a.RequestURL, ResponseStatus: a.ResponseStatus,
		ErrorCodes: append([]int{}, a.ErrorCodes...), Error: a.Error,
		RequestHeaders: a.RequestHeader, ResponseHeaders: a.ResponseHeader, ResponseBody: string(a.ResponseBody),
	}
}

func viewReplay(r store.Replay) Replay {
	return Replay{
		ID: r.ID, State: string(r.State), CreatedAt: instant(r.CreatedAt), FinishedAt: instant(r.FinishedAt),
		Targets: append([]string{}, r.Targets...), Rate: r.Rate,
		Total: r.Total, Seen: r.Seen, Queued: r.Queued, Skipped: r.Skipped,
	}
}
