package store

import "time"

// Retention decides which events may be removed. Events with a pending job never are.
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

// Young reports whether events received then, and so later ones too, are too young to
// be removed for their age. A time in the future says nothing about later ones: the
// clock was wrong.
func (r Retention) Young(received time.Time) bool {
	return !received.Before(r.Before) && !received.Before(r.DeadBefore) && !received.After(time.Now())
}

// Pruned is the result of Prune.
type Pruned struct {
	Events int   // removed
	Bytes  int64 // size of the store afterwards, as MaxBytes counts it

	// Excess is how many of those bytes are too many, or 0. It is also 0 while
	// another process prunes the store: then it is unknown.
	Excess int64

	More bool // there is more to remove, or space to give back
}

// Stats counts the contents of the store, for gauges.
type Stats struct {
	Jobs  []JobStats // those that wait or are dead, sorted by Target and Status
	Bytes int64      // as Retention.MaxBytes counts them

	Unhandled int // events that no target wanted
}

// JobStats counts the jobs of a target with one status: pending, retrying or dead.
type JobStats struct {
	Target string
	Status Status
	Count  int
	Oldest time.Time // when the round of the oldest began
}
