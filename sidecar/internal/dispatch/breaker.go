package dispatch

import (
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

const (
	// A target is unavailable after this many failed attempts in a row.
	breakAfter = 10

	// The pauses between the attempts at an unavailable target; each is twice
	// the one before, and varied like the waits of a job.
	firstPause = time.Second
	maxPause   = 30 * time.Second

	// maxWish bounds a pause that the target asks for.
	maxWish = 5 * time.Minute

	// reachEvery is how often an unavailable target is asked whether it takes
	// connections.
	reachEvery = 2 * time.Second

	// stageTime is the shortest time of a stage of the recovery.
	stageTime = 250 * time.Millisecond
)

// breaker slows the work for an unavailable target: it gets one attempt at a
// time, with pauses. Nothing is dropped, and waiting jobs do not use up their
// schedules in vain. When an attempt gets through, the number of slots doubles
// with every so many successes, so that the backlog does not overwhelm a target
// that has just come up.
//
//	closed ── breakAfter failures ──► open ── a success ──► recovering ──► closed
//	                                   ▲                        │ a failure
//	                                   └────────────────────────┘
type breaker struct {
	mu       sync.Mutex
	slots    int       // attempts that may be in flight when closed
	failures int       // in a row
	failing  time.Time // when the first of them ended
	outage   time.Time // not zero: when the outage began that has just ended; see over
	since    time.Time // not zero: open or recovering

	missedFrom time.Time // open: since when attempts have failed
	reachAt    time.Time // open: when to ask whether it takes connections; zero: that says nothing
	pause      time.Duration
	until      time.Time // open: no attempt before
	limit      int       // recovering: attempts of this stage; 0: open or closed
	begun      int       // recovering: of this stage
	successes  int       // recovering: of this stage
	stageAt    time.Time // recovering: when this stage began
	closedAt   time.Time
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
	b.failures, b.since, b.pause, b.until, b.limit, b.reachAt = 0, time.Time{}, 0, time.Time{}, 0, time.Time{}
}

// free returns how many attempts may begin, and, if none may because the target
// is unavailable, how long to wait before asking again.
func (b *breaker) free(now time.Time, inFlight int) (n int, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.since.IsZero():
		return b.slots - inFlight, maxSleep
	case b.limit > 0:
		return b.stage(now, inFlight)
	case inFlight > 0:
		return 0, maxSleep // the probe's end wakes the loop
	case now.Before(b.until):
		return 0, b.until.Sub(now)
	}
	return 1, maxSleep
}

// stage returns how many attempts may begin in the recovery.
func (b *breaker) stage(now time.Time, inFlight int) (n int, wait time.Duration) {
	if b.successes >= b.limit {
		if next := b.stageAt.Add(stageTime); now.Before(next) {
			return 0, next.Sub(now)
		}
		b.limit, b.begun, b.successes, b.stageAt = 2*b.limit, 0, 0, now
	}
	return min(b.limit-b.begun, b.slots-inFlight), maxSleep // the end of an attempt wakes the loop
}

// started counts attempts that begin, released one that was not made.
func (b *breaker) started(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun += n
}

func (b *breaker) released() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun = max(0, b.begun-1)
}

// available reports whether the target is available, and since when: zero means
// from the beginning.
func (b *breaker) available() (since time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closedAt, b.since.IsZero()
}

// change is the effect of a result on a breaker.
type change int

const (
	same change = iota
	opened
	closed
)

// result records the end of an attempt. away means that the target is known to
// be down, so that no more attempts need to find that out.
func (b *breaker) result(a delivery.Attempt, jitter float64, away bool) change {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !a.Unavailable {
		return b.success()
	}
	if b.failures++; b.failures == 1 {
		b.failing = a.FinishedAt
	}
	switch {
	case b.since.IsZero() && b.failures < breakAfter && !away:
		return same
	case b.since.IsZero():
		b.since, b.missedFrom = a.FinishedAt, b.failing
		if a.ResponseStatus == 0 {
			b.reachAt = a.FinishedAt.Add(reachEvery)
		}
		b.wait(a, jitter)
		return opened
	case b.limit > 0: // recovering
		b.limit = 0
	case a.FinishedAt.Before(b.until):
		return same // it began before the target became unavailable
	}
	b.wait(a, jitter)
	return same
}

func (b *breaker) success() change {
	b.failures = 0
	switch {
	case b.since.IsZero():
		return same
	case b.limit == 0: // the attempt made while it was unavailable
		b.outage = b.missedFrom
		b.limit, b.begun, b.successes, b.stageAt = 1, 1, 1, time.Now()
	default:
		b.successes++
	}
	if b.successes < b.limit || 2*b.limit < b.slots {
		return same
	}
	b.since, b.limit, b.pause, b.closedAt, b.reachAt = time.Time{}, 0, 0, time.Now(), time.Time{}
	return closed
}

// mayReach returns 0 if it is time to ask the target whether it takes connections, and
// else in how long it may be.
func (b *breaker) mayReach(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() || b.limit > 0 || b.reachAt.IsZero() {
		return maxSleep
	}
	if wait := b.reachAt.Sub(now); wait > 0 {
		return wait
	}
	b.reachAt = now.Add(reachEvery)
	return 0
}

// reached is told that it does, and returns since when attempts have failed. The next
// attempt may be now. It happens once in an outage: should that attempt fail, taking
// connections says nothing.
func (b *breaker) reached(now time.Time) (since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until, b.reachAt = now, time.Time{}
	return b.missedFrom
}

// over returns, once after an attempt got through to a target that was unavailable,
// since when others had failed.
func (b *breaker) over() (since time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	since, b.outage = b.outage, time.Time{}
	return since, !since.IsZero()
}

// wait sets when the next attempt may be.
func (b *breaker) wait(a delivery.Attempt, jitter float64) {
	b.pause = min(max(2*b.pause, firstPause), maxPause)
	pause := b.pause/2 + time.Duration(jitter*float64(b.pause))
	b.until = a.FinishedAt.Add(max(pause, min(a.RetryAfter, maxWish)))
}
