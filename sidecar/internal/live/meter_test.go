package live

import (
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	var m Meter
	now := time.Unix(1_000_000, 0)
	if got := m.Read(now); got != (Reading{}) {
		t.Errorf("new: %+v", got)
	}
	for i := range 600 {
		m.Accepted(now.Add(time.Duration(i)*100*time.Millisecond), time.Duration(i+1)*time.Millisecond)
	}
	m.Rejected(now)
	end := now.Add(59 * time.Second)
	got := m.Read(end)
	if got.Accepted != 10 || got.Rejected != 1.0/60 {
		t.Errorf("rates %+v, want 10 and 1/60 a second", got)
	}
	near := func(d, want time.Duration) bool { return d >= want && d <= want+want/10 }
	if !near(got.P50, 300*time.Millisecond) || !near(got.P99, 594*time.Millisecond) {
		t.Errorf("quantiles %v and %v, want 300 and 594 ms", got.P50, got.P99)
	}
	if got := m.Read(end.Add(30 * time.Second)); got.Accepted < 4.9 || got.Accepted > 5.3 {
		t.Errorf("half a minute later %v a second", got.Accepted)
	}
	if got := m.Read(end.Add(2 * time.Minute)); got != (Reading{}) {
		t.Errorf("long after: %+v", got)
	}
	m.Accepted(end, time.Hour) // no bucket is so large
	m.Accepted(end, -time.Second)
}
