package pluginhost

import (
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

func TestMeter(t *testing.T) {
	m := newMeter()
	start := time.Now()
	for i := range 100 {
		took := time.Millisecond
		if i >= 97 {
			took = time.Second
		}
		at := start.Add(time.Duration(i) * 100 * time.Millisecond)
		m.record(&delivery.Attempt{StartedAt: at.Add(-took), FinishedAt: at, Outcome: delivery.OutcomeDone}, false)
	}
	m.record(&delivery.Attempt{FinishedAt: start, Outcome: delivery.OutcomeRetry}, true)
	near := func(got, want time.Duration) bool { return got >= want && got <= want+want/5 }
	r := m.read(start.Add(10 * time.Second))
	if r.Done != 100 || r.Crashed != 1 || r.Retried != 0 || r.Rate < 9 || r.Rate > 11 || !near(r.P50, time.Millisecond) || !near(r.P99, time.Second) {
		t.Errorf("after 100 events in 10 s: %+v", r)
	}
	if r := m.read(start.Add(90 * time.Second)); r.P99 == 0 || r.Rate > 2 {
		t.Errorf("a window later: %+v", r)
	}
	if r := m.read(start.Add(10 * time.Minute)); r.Rate != 0 || r.P50 != 0 || r.Done != 100 {
		t.Errorf("long after: %+v", r)
	}
}
