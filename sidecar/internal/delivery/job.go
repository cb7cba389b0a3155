package delivery

import "time"

// Job is one (event, target) pair, the unit of work.
type Job struct {
	ID       int64
	EventSeq int64
	Target   string // "plugin:archive", "forward:default"
	State    State
	Attempts int       // attempts made so far, in all rounds
	NextAt   time.Time // when it is due, while pending

	// A replay begins a new round of attempts; the job keeps those of earlier
	// rounds. Round counts from 0, the delivery itself.
	Round   int
	Base    int       // attempts that do not count against the schedule: made before this round, or lost
	RoundAt time.Time // when this round began
	Was     State     // the state in which the round before ended; empty in round 0
}

// Task is a claimed job with the event it is about.
type Task struct {
	Job   Job
	Event *Event
}
