package store

import (
	"math/rand/v2"
	"time"
)

// Schedule is the list of waits between the attempts at a job. A job whose
// schedule is used up becomes a dead letter: a Schedule of n waits allows n+1
// attempts, and an empty one allows a single attempt.
type Schedule []time.Duration

// Next is the state machine of a job: it returns the state after attempt a
// and, while that is Pending, when the job is due again. jitter is a number in
// [0, 1), usually from math/rand; it spreads a wait w evenly over [w/2, w*3/2)
// so that jobs which failed together do not return together.
//
//	outcome   schedule left   state     due
//	done      –               done      –
//	dead      –               dead      –
//	retry     yes             pending   after RetryAfter if given, else after the wait, jittered
//	retry     no              dead      –
func Next(a Attempt, s Schedule, jitter float64) (State, time.Time) {
	switch a.Outcome {
	case OutcomeDone:
		return Done, time.Time{}
	case OutcomeDead:
		return Dead, time.Time{}
	}
	if a.N > len(s) {
		return Dead, time.Time{}
	}
	wait := a.RetryAfter
	if wait <= 0 {
		w := s[a.N-1]
		wait = w/2 + time.Duration(jitter*float64(w))
	}
	return Pending, a.FinishedAt.Add(wait)
}

// Jitter returns a random number for [Next].
func Jitter() float64 { return rand.Float64() }
