// Package store keeps what the sidecar has promised to deliver: events, the
// jobs that each event makes for its targets, and every attempt at a job, all
// of them in the words of package delivery.
//
// [Store] is the contract; package storetest states it as tests, and packages
// sqlite and postgres implement it. Start with [Store.Accept], after whose
// return the event survives a crash. What an attempt makes of its job is
// decided elsewhere, in [delivery.Next]; a store writes it down.
package store

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrNotFound is returned when no record has the id that was asked for.
var ErrNotFound = errors.New("store: not found")

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("store: closed")

// ErrStale is returned for the result of an attempt at a job that has moved on
// without it, which happens only to a store that has lost some of its latest
// changes: one that was restored, or a standby that was promoted.
var ErrStale = errors.New("store: the job has moved on without this attempt")

// Accepted tells what Accept did.
type Accepted struct {
	Seq        int64
	DeliveryID string
	Duplicate  bool // the event was there already; nothing was added but its count
}

// Delivery is an event with all that was done for it.
type Delivery struct {
	Event    *Event
	Jobs     []Job
	Attempts []Attempt // most recent first
}

// Whole drops deliveries without an event, and names the event in the attempts of
// the others. Row-level security can hide an event and not its jobs, and so can a
// damaged file.
func Whole(list []Delivery) []Delivery {
	list = slices.DeleteFunc(list, func(d Delivery) bool { return d.Event == nil })
	for _, d := range list {
		for i := range d.Attempts {
			d.Attempts[i].DeliveryID = d.Event.DeliveryID
		}
	}
	return list
}

// Final reports whether the delivery came to its end once: there was at least
// one job and none is pending in its first round. A replay does not undo that.
func (d *Delivery) Final() bool {
	for _, j := range d.Jobs {
		if j.State == Pending && j.Round == 0 {
			return false
		}
	}
	return len(d.Jobs) > 0
}

// Delivered reports whether every job is done. A job that is being replayed
// counts as what its latest attempt before that made it.
func (d *Delivery) Delivered() bool {
	for _, j := range d.Jobs {
		if j.State != Done && !(j.State == Pending && j.Round > 0 && j.Was == Done) {
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

// Route says which event types a target wants, by patterns: exact,
// "message.*" or "*".
type Route struct {
	Target   string
	Patterns []string
}

// Store keeps events, jobs, attempts and replays. All methods are safe for
// concurrent use. Every method that changes something returns only after the
// change is committed and synced, and an error from it means that the change
// may or may not have happened, but never a part of it: callers repeat, and
// repeating is harmless.
//
// A store has one owner, a process, or is shared by several. The jobs that a
// process has claimed are free again when it dies: at the next Open of a store
// with one owner, within a bound that the implementation states of a shared
// one. A process that was taken for dead and was not may still Finish its jobs;
// the first result of an attempt number is the one that counts.
type Store interface {
	Queue
	Records
	Operator

	// Watch calls wake with the names of targets for which work may have
	// become due by something that this process did not do itself, until
	// ctx ends; then it returns nil. Wakes may be lost, such as while a
	// database is restarted: a caller also looks by itself now and then.
	Watch(ctx context.Context, wake func(targets []string)) error

	// Renewed receives after the store was restored, or has failed over to a
	// server that may not have got everything: what was told it may be
	// forgotten. A caller that relies on something written earlier, which will
	// not be written again, writes it anew. There is one receiver.
	Renewed() <-chan struct{}

	// Probe reports whether Accept would take e at this moment: it does all
	// that Accept does, and leaves nothing behind. An event that is stored
	// already is not changed.
	Probe(ctx context.Context, e *Event, targets []string) error

	// Ping is Probe with the event of [NewProbe].
	Ping(ctx context.Context) error

	// Close waits for writes under way and closes the store. What this
	// process had claimed is free.
	Close() error
}

// Queue is the part of a [Store] through which events pass.
type Queue interface {
	// Accept stores e and one pending job, due at once, for each target.
	// When an event with the same Key is there already it only counts the
	// duplicate. Seq and, if it was empty, DeliveryID of e are filled in.
	//
	// When ctx ends it returns at once, also from within a commit that does
	// not return; then the event may still be stored, as a whole.
	Accept(ctx context.Context, e *Event, targets []string) (Accepted, error)

	// Record stores, after the fact, an event that was passed straight
	// through to a target, together with that one attempt: its job is Done
	// if the Outcome is OutcomeDone, else Dead. It never becomes due.
	// JobID, DeliveryID and N of the attempt are ignored. If the event is there already
	// the duplicate is counted and the attempt added as the job's next,
	// which decides its state unless it is Pending; repeating one with the
	// same StartedAt changes nothing. An event that is new also becomes a job, due at
	// once, for each of the others, as by Accept.
	Record(ctx context.Context, e *Event, a Attempt, others []string) (Accepted, error)

	// Claim hands out up to limit pending jobs of the target that are due
	// at now, longest due first. A claimed job is not handed out again
	// until Finish or Release, or the death of the process.
	//
	// Of the pending jobs of a target with the same Entity, not empty, only
	// the first by (OrderAt, Seq) is handed out, and none while another is
	// claimed. So a job that waits for a retry holds up those behind it, a
	// dead one does not. The others of the entity may be given a later
	// NextAt; the next becomes due when the first is no longer pending.
	Claim(ctx context.Context, target string, now time.Time, limit int) ([]Task, error)

	// NextDue returns when the next unclaimed pending job of the target is
	// due, and false if there is none. It may be a time at which Claim
	// finds nothing, but no earlier than it can tell.
	NextDue(ctx context.Context, target string) (time.Time, bool, error)

	// Reschedule brings forward the unclaimed pending jobs of the target
	// that wait longer than they should, because the clock has been set back
	// since they were put off: see [Due]. It returns how many it moved.
	// Repeating it changes nothing.
	Reschedule(ctx context.Context, target string, now time.Time, s Schedule) (int, error)

	// Finish records an attempt at a claimed job and moves the job to the
	// state and, if that is Pending, to the time that [Next] chose, all in
	// one commit. Repeating it with the same job and N changes nothing.
	//
	// It returns [ErrNotFound] if there is no such job: its event has been
	// removed, or JobID is that of a job of another event by now. It returns
	// [ErrStale] if the job has ended, or has had attempt N, without this
	// result. Both are final, and nothing has changed. Attempts that the
	// store has forgotten do not matter: the result is that of attempt N.
	Finish(ctx context.Context, a Attempt, state State, nextAt time.Time) error

	// Release gives back a claimed job that was not attempted, and lets the
	// other processes know. It is as if it had not been claimed. A task that
	// is not claimed, such as one of an event that a restored store does not
	// know, changes nothing.
	Release(ctx context.Context, t Task) error

	// SaveRoute remembers the patterns of a target, so that events which
	// arrive while it cannot be asked still become its jobs.
	SaveRoute(ctx context.Context, r Route) error

	// Routes returns all remembered routes.
	Routes(ctx context.Context) ([]Route, error)

	// Backlog returns the number of pending jobs by target.
	Backlog(ctx context.Context) (map[string]int, error)
}

// Records is the part of a [Store] that Telnyx's delivery record API reads.
type Records interface {
	// Delivery returns the record of one event, final or not, by the id of
	// the delivery or of the event, without regard to the case of UUIDs.
	Delivery(ctx context.Context, id string) (*Delivery, error)

	// Deliveries returns the final deliveries that f selects, most recently
	// received first, and how many there are without Offset and Limit.
	Deliveries(ctx context.Context, f Filter) ([]Delivery, int, error)
}
