package rolling

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	var w Window
	now := time.Unix(1_000_000, 0)
	if got := w.Read(now); got != (Reading{}) {
		t.Errorf("new: %+v", got)
	}
	for i := range 600 {
		w.Add(now.Add(time.Duration(i)*100*time.Millisecond), time.Duration(i+1)*time.Millisecond)
	}
	w.AddOther(now)
	end := now.Add(59 * time.Second)
	got := w.Read(end)
	if got.Timed != 600 || got.Other != 1 || !got.Since.Equal(now) {
		t.Errorf("got %+v, want 600 and 1 since %v", got, now)
	}
	near := func(d, want time.Duration) bool { return d >= want && d <= want+want/10 }
	if !near(got.P50, 300*time.Millisecond) || !near(got.P99, 594*time.Millisecond) {
		t.Errorf("quantiles %v and %v, want 300 and 594 ms", got.P50, got.P99)
	}
	if got := w.Read(end.Add(30 * time.Second)); got.Timed < 294 || got.Timed > 318 {
		t.Errorf("half a minute later %d", got.Timed)
	}
	if got := w.Read(end.Add(2 * time.Minute)); got != (Reading{}) {
		t.Errorf("long after: %+v", got)
	}
	w.Add(end, time.Hour) // no bucket is so large
	w.Add(end, -time.Second)
}
