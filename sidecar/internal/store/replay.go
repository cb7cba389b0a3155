package store

import "time"

// ReplayState is the progress of a replay.
type ReplayState string

// The states of a replay.
const (
	ReplayRunning   ReplayState = "running"
	ReplayDone      ReplayState = "done"
	ReplayCancelled ReplayState = "cancelled"
)

// Replay is an order to deliver events again. It goes through the events that existed
// when it was created, oldest first.
type Replay struct {
	ID        string // a UUID, assigned by CreateReplay
	CreatedAt time.Time
	Query     Query

	// Targets are where the events go. A target that has a job for the
	// event gets a new round of it, if it is in a state of
	// [delivery.From] of MoveReplay; one that has none gets a job. Empty: the jobs that
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
