// Package clock notices when the machine's clock is set. Start with [New] and
// [Clock.Step].
//
// The wall clock is compared with clocks that nobody can set. One of them also
// runs while the machine is suspended: the time that passed then is not a step.
package clock

import (
	"sync"
	"time"
)

// Reading holds the clocks of a machine at one moment.
type Reading struct {
	Wall time.Time // its monotonic reading is ignored

	// Awake and Boot are the time since some moment, without and with the
	// time that the machine was suspended. Boot is 0 where the system does
	// not provide it.
	Awake, Boot time.Duration
}

var start = time.Now()

// System reads the clocks of this machine.
func System() Reading {
	now := time.Now()
	return Reading{Wall: now, Awake: now.Sub(start), Boot: boot()}
}

// Clock notices steps of the wall clock. It is safe for concurrent use.
type Clock struct {
	read func() Reading

	mu      sync.Mutex
	last    Reading
	untold  time.Duration // of steps that Step has not reported
	forward []step        // that were not undone; the latest maxSteps
}

// step is the wall clock being set forward, from a time.
type step struct {
	from time.Time
	by   time.Duration
}

// maxSteps bounds the steps remembered of a clock that is set all the time.
const maxSteps = 16

// New returns a Clock that uses read; nil means [System].
func New(read func() Reading) *Clock {
	if read == nil {
		read = System
	}
	return &Clock{read: read, last: read()}
}

// slack is more than clocks that were not set differ between two readings: they
// are not read at the same instant.
const slack = time.Second

// Now returns the time of the wall clock.
func (c *Clock) Now() time.Time { return c.read().Wall.Round(0) }

// Step returns the time of the wall clock and by how much it has been set since
// the call before, or since New: positive is forward, and 0 means not at all.
func (c *Clock) Step() (now time.Time, by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	by, c.untold = c.untold, 0
	return c.last.Wall.Round(0), by
}

// Adjust corrects t, an earlier time of the clock: later by the steps forward
// since then. So the time since the result is the time that has really passed.
func (c *Clock) Adjust(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	adjusted := t
	for _, s := range c.forward {
		if !t.After(s.from) {
			adjusted = adjusted.Add(s.by)
		}
	}
	return adjusted
}

// look compares the clocks. The caller holds mu.
func (c *Clock) look() {
	before := c.last
	c.last = c.read()
	wall := c.last.Wall.Round(0).Sub(before.Wall.Round(0))
	least := c.last.Awake - before.Awake
	most := max(least, c.last.Boot-before.Boot)
	switch {
	case wall < least-slack:
		c.untold += wall - least
		c.undo(least - wall)
	case wall > most+slack:
		c.untold += wall - most
		c.forward = append(c.forward, step{from: c.last.Wall.Add(most - wall), by: wall - most})
		c.forward = c.forward[max(0, len(c.forward)-maxSteps):]
	}
}

// undo takes back steps forward, the latest first.
func (c *Clock) undo(by time.Duration) {
	for by > 0 && len(c.forward) > 0 {
		latest := &c.forward[len(c.forward)-1]
		if latest.by-by > slack {
			latest.by -= by
			return
		}
		by -= latest.by
		c.forward = c.forward[:len(c.forward)-1]
	}
}
