package live

import (
	"math"
	"sync"
	"time"
)

// Meter counts what was answered in the last minute, and how long the answers
// took. The zero value is ready; it is safe for concurrent use.
type Meter struct {
	mu   sync.Mutex
	slot [slots]slot // by the second they are about
}

// slots is a minute, and a second that is still being counted.
const slots = 61

// slot is what happened in one second.
type slot struct {
	second   int64
	accepted int
	rejected int
	took     [buckets]int32 // of accepted, by bucket
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

// Accepted counts a request that was acknowledged after so long.
func (m *Meter) Accepted(now time.Time, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.at(now)
	s.accepted++
	s.took[bucketOf(took)]++
}

// Rejected counts a request that was refused.
func (m *Meter) Rejected(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at(now).rejected++
}

// at returns the slot of a moment. The caller holds mu.
func (m *Meter) at(now time.Time) *slot {
	second := now.Unix()
	s := &m.slot[second%slots]
	if s.second != second {
		*s = slot{second: second}
	}
	return s
}

// Reading is what a [Meter] has counted: rates are per second, over the last
// whole minute, and quantiles are 0 if nothing was accepted in it.
type Reading struct {
	Accepted, Rejected float64
	P50, P99           time.Duration
}

// Read returns what happened in the minute before now.
func (m *Meter) Read(now time.Time) Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum slot
	for i := range m.slot {
		s := &m.slot[i]
		if age := now.Unix() - s.second; age < 0 || age >= slots {
			continue
		}
		sum.accepted += s.accepted
		sum.rejected += s.rejected
		for j, n := range s.took {
			sum.took[j] += n
		}
	}
	return Reading{
		Accepted: float64(sum.accepted) / 60, Rejected: float64(sum.rejected) / 60,
		P50: sum.quantile(0.50), P99: sum.quantile(0.99),
	}
}

func (s *slot) quantile(q float64) time.Duration {
	rank, seen := int(math.Ceil(q*float64(s.accepted))), 0
	for i, n := range s.took {
		if seen += int(n); rank > 0 && seen >= rank {
			return bucketBound(i)
		}
	}
	return 0
}
