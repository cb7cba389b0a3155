// Package rolling measures recent events: how many there were, and how long they
// took. A [Window] has a fixed size, however much it counts. Totals since the start
// belong to its users, and history to a metrics server.
package rolling

import (
	"math"
	"sync"
	"time"
)

// Window counts the events of the last minute or so, and how long they took. The zero
// value is ready; it is safe for concurrent use.
type Window struct {
	// Width is the length of a slot. The window covers 60 slots and the one
	// still being counted. 0 means a second.
	Width time.Duration

	mu   sync.Mutex
	slot [slots]slot // by the time that they are about
}

const slots = 61

// slot holds the counts of a part of the window.
type slot struct {
	number int64 // of this part, counted from the epoch
	first  time.Time
	timed  int
	other  int
	took   [buckets]int32 // of timed, by bucket
}

// buckets have bounds that grow by an eighth of an octave from 10 µs, so that a
// quantile is at most 9 % too large, up to half a minute.
const buckets = 174

const firstBucket = 10 * time.Microsecond

func bucketOf(d time.Duration) int {
	if d <= firstBucket {
		return 0
	}
	return min(buckets-1, int(math.Ceil(8*math.Log2(float64(d)/float64(firstBucket)))))
}

func bucketBound(i int) time.Duration {
	return time.Duration(float64(firstBucket) * math.Exp2(float64(i)/8))
}

// Add counts an event that took so long.
func (w *Window) Add(now time.Time, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(now)
	s.timed++
	s.took[bucketOf(took)]++
}

// AddOther counts an event whose duration does not matter.
func (w *Window) AddOther(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at(now).other++
}

// at returns the slot of a moment. The caller holds mu.
func (w *Window) at(now time.Time) *slot {
	number := w.number(now)
	s := &w.slot[number%slots]
	if s.number != number {
		*s = slot{number: number, first: now}
	}
	return s
}

func (w *Window) number(t time.Time) int64 {
	width := w.Width
	if width <= 0 {
		width = time.Second
	}
	return t.UnixNano() / int64(width)
}

// Reading holds the counts of a [Window].
type Reading struct {
	Timed, Other int           // calls of Add and AddOther
	Since        time.Time     // when the first of them was; zero if there was none
	P50, P99     time.Duration // 0 if nothing was timed
}

// Read returns the counts of the window that ends now.
func (w *Window) Read(now time.Time) Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sum slot
	for i := range w.slot {
		s := &w.slot[i]
		if age := w.number(now) - s.number; age < 0 || age >= slots {
			continue
		}
		if sum.first.IsZero() || s.first.Before(sum.first) {
			sum.first = s.first
		}
		sum.timed += s.timed
		sum.other += s.other
		for j, n := range s.took {
			sum.took[j] += n
		}
	}
	return Reading{Timed: sum.timed, Other: sum.other, Since: sum.first, P50: sum.quantile(0.50), P99: sum.quantile(0.99)}
}

func (s *slot) quantile(q float64) time.Duration {
	rank, seen := int(math.Ceil(q*float64(s.timed))), 0
	for i, n := range s.took {
		if seen += int(n); rank > 0 && seen >= rank {
			return bucketBound(i)
		}
	}
	return 0
}
