package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// ErrElsewhere is returned by StepReplay while another process that shares the
// store is working on the replay.
var ErrElsewhere = errors.New("store: another process is working on it")

// Status is what became of an event at a target, as people ask for it.
type Status string

// The statuses that a [Query] selects by.
const (
	StatusPending   Status = "pending"   // a job waits for an attempt, be it the first
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
}

// Page is a part of the events that a [Query] selects, newest first.
type Page struct {
	// Deliveries hold the events without their bodies and headers, all jobs
	// of each, and of each job the latest attempt.
	Deliveries []Delivery

	// Next is what to ask for as before to go on, and 0 at the end. A
	// search that looks at many events to find few returns early: a page
	// may be short, or empty, and still have a Next.
	Next int64
}

// Preview says what a replay would do.
type Preview struct {
	Events         int
	Types          map[string]int // events by type
	Oldest, Newest time.Time      // received; zero without events
}

// ReplayState says how far a replay is.
type ReplayState string

// The states of a replay.
const (
	ReplayRunning   ReplayState = "running"
	ReplayDone      ReplayState = "done"
	ReplayCancelled ReplayState = "cancelled"
)

// Replay is an order to deliver events again. It goes through the events that
// were there when it was created, oldest first.
type Replay struct {
	ID        string // a UUID, assigned by CreateReplay
	CreatedAt time.Time
	Query     Query

	// Targets are where the events go. A target that has a job for the
	// event gets a new round of it, if it is in a state of
	// From(MoveReplay); one that has none gets a job. Empty: the jobs that
	// the Query selects get a new round.
	Targets []string

	// Rate is how many events become due in a second. 0: as fast as the
	// store can.
	Rate float64

	State      ReplayState
	Total      int   // events selected when it was created
	Seen       int   // events gone through so far
	Queued     int   // jobs that became due
	Skipped    int   // events of which no job could be replayed, such as pending ones
	Cursor     int64 // Seq of the last event gone through
	Last       int64 // Seq of the last event to go through
	FinishedAt time.Time
}

// DeadGroup is a number of dead letters that look alike.
type DeadGroup struct {
	Target         string
	EventType      string
	Error          string // of the latest attempt
	ErrorCode      int    // first of the latest attempt's; 0 if it has none
	ResponseStatus int
	Count          int
	Oldest, Newest time.Time // received
}

// Retention says what may be removed. Events with a pending job never are.
// A zero field removes nothing.
type Retention struct {
	// Before removes events received before it that were delivered,
	// discarded or unhandled.
	Before time.Time

	// DeadBefore removes events received before it that have a dead letter.
	DeadBefore time.Time

	// MaxBytes removes, oldest first, events that Before could remove,
	// while the store is larger.
	MaxBytes int64
}

// Young reports whether events received then, and so those that came later, are
// too young to be removed for their age. A time to come says nothing about
// those: the clock was wrong.
func (r Retention) Young(received time.Time) bool {
	return !received.Before(r.Before) && !received.Before(r.DeadBefore) && !received.After(time.Now())
}

// Pruned says what Prune did.
type Pruned struct {
	Events int   // removed
	Bytes  int64 // size of the store after that, as MaxBytes counts it

	// Excess is how many of those bytes are too many, or 0. Of a store that
	// another process prunes at this moment it is 0: nothing is known.
	Excess int64

	More bool // there is more to remove, or space to give back
}

// Stats says how much is in the store, for gauges.
type Stats struct {
	Jobs  []JobStats // those that wait or are dead, sorted by Target and Status
	Bytes int64      // as Retention.MaxBytes counts them

	Unhandled int // events that no target wanted
}

// JobStats counts the jobs of a target that have a status in common: pending,
// retrying or dead.
type JobStats struct {
	Target string
	Status Status
	Count  int
	Oldest time.Time // when the round of the oldest began
}

// Operator is the part of a [Store] that people work with.
type Operator interface {
	// Events returns up to limit of the events that q selects, newest
	// first, of those with a Seq less than before; before 0 begins with the
	// newest. Each event that stays in the store is on exactly one page.
	Events(ctx context.Context, q Query, before int64, limit int) (Page, error)

	// DeadGroups returns the dead letters that q selects, grouped, the
	// largest group first. q.Status is ignored.
	DeadGroups(ctx context.Context, q Query) ([]DeadGroup, error)

	// Discard moves all dead letters that q selects to Discarded, in
	// several commits, and returns how many there were, also when an error
	// or the end of ctx stopped it. q.Status is ignored.
	Discard(ctx context.Context, q Query) (int, error)

	// PreviewReplay counts what q selects.
	PreviewReplay(ctx context.Context, q Query) (Preview, error)

	// CreateReplay stores r as running. It fills in ID, if it is empty,
	// CreatedAt, State, Total and Last. Repeating it with the same ID
	// changes nothing.
	CreateReplay(ctx context.Context, r *Replay) error

	// StepReplay takes the replay through its next up to limit events: in
	// one commit their jobs become due and the replay moves on. It returns
	// the replay after that and the targets that have new work. After the
	// last event the replay is done. On one that is not running it changes
	// nothing. After an error a repetition goes on from where the replay
	// is, so that no event is taken twice.
	StepReplay(ctx context.Context, id string, limit int) (Replay, []string, error)

	// CancelReplay ends a replay that is running. What is due stays due.
	CancelReplay(ctx context.Context, id string) (Replay, error)

	// Replay returns one replay.
	Replay(ctx context.Context, id string) (Replay, error)

	// Replays returns the latest replays, newest first, and with running
	// set only those that are.
	Replays(ctx context.Context, running bool) ([]Replay, error)

	// Prune removes up to limit of the events that r names, oldest first,
	// with all that belongs to them, and gives back some of the space. It is
	// a short piece of work, so that accepts do not wait for it; it is
	// repeated while More is set.
	Prune(ctx context.Context, r Retention, limit int) (Pruned, error)

	// Excess returns how many bytes the store has more than r allows, or 0.
	Excess(ctx context.Context, r Retention) (int64, error)

	// Stats counts what waits and what is dead. It looks at each of those
	// jobs, so it is for every now and then.
	Stats(ctx context.Context) (Stats, error)
}

// Add counts a dead letter that was received at a time.
func (g *DeadGroup) Add(received time.Time) {
	if g.Count == 0 || received.Before(g.Oldest) {
		g.Oldest = received
	}
	if g.Count == 0 || received.After(g.Newest) {
		g.Newest = received
	}
	g.Count++
}

// SortDeadGroups puts the largest first, and equal ones in a fixed order.
func SortDeadGroups(groups []DeadGroup) {
	slices.SortFunc(groups, func(a, b DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Target, b.Target),
			cmp.Compare(a.EventType, b.EventType), cmp.Compare(a.Error, b.Error))
	})
}

// Add counts an event of a type that was received at a time.
func (p *Preview) Add(eventType string, received time.Time) {
	if p.Events == 0 || received.Before(p.Oldest) {
		p.Oldest = received
	}
	if p.Events == 0 || received.After(p.Newest) {
		p.Newest = received
	}
	p.Events++
	p.Types[eventType]++
}
