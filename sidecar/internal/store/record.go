package store

import (
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// Delivery is an event with its jobs and attempts.
type Delivery struct {
	Event    *delivery.Event
	Jobs     []delivery.Job
	Attempts []delivery.Attempt // most recent first
}

// Final reports whether the delivery came to its end once: there was at least
// one job and none is pending in its first round. A replay does not undo that.
func (d *Delivery) Final() bool {
	for _, j := range d.Jobs {
		if j.State == delivery.Pending && j.Round == 0 {
			return false
		}
	}
	return len(d.Jobs) > 0
}

// Delivered reports whether every job is done. A job that is being replayed counts
// with its state before the replay.
func (d *Delivery) Delivered() bool {
	for _, j := range d.Jobs {
		if j.State != delivery.Done && !(j.State == delivery.Pending && j.Round > 0 && j.Was == delivery.Done) {
			return false
		}
	}
	return len(d.Jobs) > 0
}

// Filter selects final deliveries. A zero field selects all.
type Filter struct {
	Status           string   // "delivered" (every job done) or "failed" (a job is dead)
	EventTypes       []string // any of these, compared exactly
	WebhookContains  string   // text within the event's id, type, occurred_at or payload
	AttemptsContains string   // text within the URL, headers, body or error codes of any attempt
	// Inclusive bounds on the first attempt's start and the last one's end.
	StartedFrom, StartedTo, FinishedFrom, FinishedTo time.Time

	Offset, Limit int
}
