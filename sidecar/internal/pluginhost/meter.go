package pluginhost

import (
	"math"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// Meter is how a plugin has done with its events.
type Meter struct {
	// Since the sidecar started.
	Done    uint64 // events that it has handled
	Retried uint64 // results that ask for a retry, and time-outs
	Dead    uint64 // events that it has refused for good
	Crashed uint64 // events with which a process died

	// Over the last minute or two.
	Rate     float64       // results a second
	P50, P99 time.Duration // from sending an event to its result
}

const (
	meterWindow  = time.Minute
	meterBuckets = 160
	meterGrowth  = 1.15 // of the width of buckets, and so the error of quantiles
	meterLeast   = 10 * time.Microsecond
)

// meter measures. Two windows of a minute take turns, so that what it says is
// of the last one to two minutes. It is safe for concurrent use.
type meter struct {
	mu     sync.Mutex
	total  Meter
	begun  time.Time // of the newer window
	counts [2]struct {
		buckets [meterBuckets]uint32
		n       uint64
		from    time.Time
	}
}

// record counts an attempt.
func (m *meter) record(a *delivery.Attempt, crashed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case crashed:
		m.total.Crashed++
		return // it says nothing about handling
	case a.Outcome == delivery.OutcomeDone:
		m.total.Done++
	case a.Outcome == delivery.OutcomeFailed:
		m.total.Dead++
	default:
		m.total.Retried++
	}
	m.turn(a.FinishedAt)
	w := &m.counts[1]
	w.n++
	w.buckets[bucketOf(a.FinishedAt.Sub(a.StartedAt))]++
}

// turn begins a new window when the newer one is over. The caller holds the
// lock.
func (m *meter) turn(now time.Time) {
	switch age := now.Sub(m.begun); {
	case age < meterWindow:
		return
	case age < 2*meterWindow:
		m.counts[0] = m.counts[1]
	default: // nothing happened for a while
		clear(m.counts[:])
		m.counts[0].from = now
	}
	clear(m.counts[1:])
	m.counts[1].from, m.begun = now, now
}

// read returns the measurements.
func (m *meter) read(now time.Time) Meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	r := m.total
	n := m.counts[0].n + m.counts[1].n
	if n == 0 {
		return r
	}
	r.Rate = float64(n) / max(1, now.Sub(m.counts[0].from).Seconds())
	r.P50, r.P99 = m.quantile(n, 0.50), m.quantile(n, 0.99)
	return r
}

func (m *meter) quantile(n uint64, q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(n)))
	var seen uint64
	for i := range meterBuckets {
		if seen += uint64(m.counts[0].buckets[i]) + uint64(m.counts[1].buckets[i]); seen >= rank {
			return time.Duration(float64(meterLeast) * math.Pow(meterGrowth, float64(i))).Round(time.Microsecond)
		}
	}
	return 0
}

// bucketOf returns the bucket whose upper bound is the first not below d.
func bucketOf(d time.Duration) int {
	if d <= meterLeast {
		return 0
	}
	i := math.Ceil(math.Log(float64(d)/float64(meterLeast)) / math.Log(meterGrowth))
	return min(int(i), meterBuckets-1)
}
