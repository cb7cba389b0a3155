package dispatch

import (
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

const (
	// A target is unavailable after this many attempts in a row that found
	// it so.
	breakAfter = 10

	// Pauses between the attempts at a target that is unavailable; each is
	// twice the one before, and spread like the waits of a job.
	firstPause = time.Second
	maxPause   = 30 * time.Second

	// maxWish bounds a pause that the target asks for.
	maxWish = 5 * time.Minute
)

// breaker slows the work for a target that is unavailable: it gets one attempt
// at a time, with pauses. Nothing is dropped, and the jobs that wait do not use
// up their schedules against a wall. When an attempt gets through, the number
// of slots doubles with every so many successes, so that a target which has
// just come up is not run over by the backlog.
//
//	closed ── breakAfter failures ──► open ── a success ──► recovering ──► closed
//	                                   ▲                        │ a failure
//	                                   └────────────────────────┘
type breaker struct {
	mu        sync.Mutex
	slots     int       // attempts that may be in flight when closed
	failures  int       // in a row
	since     time.Time // not zero: open or recovering
	pause     time.Duration
	until     time.Time // open: no attempt before
	limit     int       // recovering: slots; 0: open or closed
	successes int       // recovering: since limit was set
	last      string    // error
}

// setSlots changes how many attempts may be in flight.
func (b *breaker) setSlots(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots = n
}

// reset closes the breaker: it is another target now.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.since, b.pause, b.until, b.limit, b.last = 0, time.Time{}, 0, time.Time{}, 0, ""
}

// free returns how many attempts may begin, and, if none may because the target
// is unavailable, when to ask again.
func (b *breaker) free(now time.Time, inFlight int) (n int, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.since.IsZero():
		return b.slots - inFlight, maxSleep
	case b.limit > 0:
		return min(b.limit, b.slots) - inFlight, maxSleep
	case inFlight > 0:
		return 0, maxSleep // the probe's end wakes the loop
	case now.Before(b.until):
		return 0, b.until.Sub(now)
	}
	return 1, maxSleep
}

// change is what a result has made of a breaker.
type change int

const (
	same change = iota
	opened
	closed
)

// result tells how an attempt ended.
func (b *breaker) result(a store.Attempt, jitter float64) change {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = a.Error
	if !a.Unavailable {
		return b.success()
	}
	b.failures++
	switch {
	case b.since.IsZero() && b.failures < breakAfter:
		return same
	case b.since.IsZero():
		b.since = a.FinishedAt
		b.wait(a, jitter)
		return opened
	case b.limit > 0: // recovering
		b.limit = 0
	case a.FinishedAt.Before(b.until):
		return same // it began before the target was found to be unavailable
	}
	b.wait(a, jitter)
	return same
}

func (b *breaker) success() change {
	b.failures = 0
	switch {
	case b.since.IsZero():
		return same
	case b.limit == 0:
		b.limit, b.successes = 2, 0
	default:
		if b.successes++; b.successes >= b.limit {
			b.limit, b.successes = 2*b.limit, 0
		}
	}
	if b.limit < b.slots {
		return same
	}
	b.since, b.limit, b.pause = time.Time{}, 0, 0
	return closed
}

// wait sets when the next attempt may be.
func (b *breaker) wait(a store.Attempt, jitter float64) {
	b.pause = min(max(2*b.pause, firstPause), maxPause)
	pause := b.pause/2 + time.Duration(jitter*float64(b.pause))
	b.until = a.FinishedAt.Add(max(pause, min(a.RetryAfter, maxWish)))
}

func (b *breaker) describe(s *TargetStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.UnavailableSince, s.LastError, s.Slots = b.since, b.last, b.slots
	switch {
	case b.since.IsZero():
	case b.limit > 0:
		s.Slots = min(b.limit, b.slots)
	default:
		s.Slots, s.NextProbe = 1, b.until
	}
}
