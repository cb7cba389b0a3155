package store

import "time"

// Status is the state of an event at a target, in people's words.
type Status string

// The statuses that a [Query] selects by.
const (
	StatusPending   Status = "pending"   // a job waits for an attempt, perhaps the first
	StatusRetrying  Status = "retrying"  // a job waits, and has failed in this round
	StatusDone      Status = "done"      // a job is done
	StatusDead      Status = "dead"      // a job is a dead letter
	StatusDiscarded Status = "discarded" // a job was discarded
	StatusUnhandled Status = "unhandled" // there is no job: no target wanted it
)

// Query selects events, and of each those jobs to which Target, Status and
// Error apply together. A zero field selects all.
type Query struct {
	IDs    []string // ids of deliveries or events, UUIDs without regard to case
	Types  []string // event types by pattern: exact, "message.*" or "*"; any of these
	Target string
	Status Status
	Since  time.Time // received at or after
	Until  time.Time // received before
	Text   string    // contained in the body, compared as bytes
	Error  string    // Error of the job's latest attempt, compared exactly

	// MissedSince selects the jobs whose latest attempt ended at or after a
	// time, without a wish of the target for when to try again.
	MissedSince time.Time
}

// Waiting returns q for jobs that wait, as [Operator] says of Hurry.
func (q Query) Waiting() Query {
	if q.Status != StatusRetrying {
		q.Status = StatusPending
	}
	return q
}

// Page is a part of the events that a [Query] selects, newest first.
type Page struct {
	// Deliveries hold the events without their bodies and headers, all jobs
	// of each, and of each job the latest attempt.
	Deliveries []Delivery

	// Next is the before of the next page, and 0 at the end. A search that
	// looks at many events to find few returns early: a page may be short, or
	// empty, and still have a Next.
	Next int64
}

// Preview counts what a replay would do.
type Preview struct {
	Events         int
	Types          map[string]int // events by type
	Oldest, Newest time.Time      // received; zero without events
}

// DeadGroup counts dead letters that look alike.
type DeadGroup struct {
	Target         string
	EventType      string
	Error          string // of the latest attempt
	ErrorCode      int    // first of the latest attempt's; 0 if it has none
	ResponseStatus int
	Count          int
	Oldest, Newest time.Time // received
}
