package delivery

import (
	"math/rand/v2"
	"time"
)

// Schedule is the list of waits between the attempts of one round at a job. A
// job whose schedule is used up becomes a dead letter: a Schedule of n waits
// allows n+1 attempts, and an empty one allows a single attempt.
type Schedule []time.Duration

// Policy decides how long a target is tried.
type Policy struct {
	Schedule Schedule

	// MaxAge bounds the time from the beginning of a round to its last
	// attempt: a retry that would be later makes the job a dead letter.
	// 0 means that only the schedule bounds it.
	MaxAge time.Duration
}

// Next returns the state of job j after attempt a and, while that is Pending,
// when the job is due again. jitter is a number in [0, 1), usually from
// [Jitter]; it spreads a wait w evenly over [w/2, w*3/2) so that jobs which failed
// together do not return together. A target's wish to wait, RetryAfter, replaces the
// wait and is not spread.
func Next(j Job, a Attempt, p Policy, jitter float64) (State, time.Time) {
	switch a.Outcome {
	case OutcomeDone:
		return Done, time.Time{}
	case OutcomeFailed:
		return Dead, time.Time{}
	case OutcomeLost:
		return Pending, a.FinishedAt.Add(a.RetryAfter)
	}
	n := a.N - j.Base // the attempt's number in its round
	if n > len(p.Schedule) {
		return Dead, time.Time{}
	}
	wait := a.RetryAfter
	if wait <= 0 {
		w := p.Schedule[max(n, 1)-1]
		wait = w/2 + time.Duration(jitter*float64(w))
	}
	due := a.FinishedAt.Add(wait)
	if p.MaxAge > 0 && !j.RoundAt.IsZero() && due.Sub(j.RoundAt) > p.MaxAge {
		return Dead, time.Time{}
	}
	return Pending, due
}

// Due returns when pending job j is due, by a clock that reads now and may have been
// set back since NextAt was chosen: no later than its wait from now, and at once if it
// was not tried in this round. wish is the RetryAfter of its latest attempt. It is not
// for a job that waits behind others of its entity.
func Due(j Job, wish time.Duration, now time.Time, s Schedule) time.Time {
	wait := time.Duration(0)
	switch n := j.Attempts - j.Base; {
	case n <= 0:
	case wish > 0:
		wait = wish
	case len(s) > 0:
		w := s[min(n, len(s))-1]
		wait = w + w/2 // as late as Next lets it
	}
	if latest := now.Add(wait); latest.Before(j.NextAt) {
		return latest
	}
	return j.NextAt
}

// Jitter returns a random number for [Next].
func Jitter() float64 { return rand.Float64() }
