package pluginhost

import (
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/rolling"
)

// Meter counts the results of a plugin's events.
type Meter struct {
	// Since the sidecar started.
	Done    uint64 // events that it has handled
	Retried uint64 // results that ask for a retry, and time-outs
	Dead    uint64 // events that it has refused permanently
	Crashed uint64 // events with which a process died

	// Over the last minute or two.
	Rate     float64       // results a second
	P50, P99 time.Duration // from sending an event to its result
}

// meter measures. It is safe for concurrent use.
type meter struct {
	mu     sync.Mutex
	total  Meter
	latest rolling.Window
}

func newMeter() *meter { return &meter{latest: rolling.Window{Width: 2 * time.Second}} }

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
	m.latest.Add(a.FinishedAt, a.FinishedAt.Sub(a.StartedAt))
}

// read returns the measurements.
func (m *meter) read(now time.Time) Meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, latest := m.total, m.latest.Read(now)
	if latest.Timed > 0 {
		r.Rate = float64(latest.Timed) / max(1, now.Sub(latest.Since).Seconds())
	}
	r.P50, r.P99 = latest.P50, latest.P99
	return r
}
