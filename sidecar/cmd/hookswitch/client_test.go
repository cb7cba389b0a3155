package main

import (
	"testing"
	"time"
)

// TestClock: an old event shows its day and a recent one its time, both in the
// local time zone.
func TestClock(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		ago    time.Duration
		layout string
	}{
		{0, "15:04:05"},
		{19 * time.Hour, "15:04:05"},
		{-19 * time.Hour, "15:04:05"}, // due soon
		{21 * time.Hour, "2006-01-02 15:04"},
		{-21 * time.Hour, "2006-01-02 15:04"},
		{400 * 24 * time.Hour, "2006-01-02 15:04"},
	} {
		at := now.Add(-tt.ago).UTC()
		if got, want := clock(&at), at.Local().Format(tt.layout); got != want {
			t.Errorf("%v ago is shown as %s, want %s", tt.ago, got, want)
		}
	}
	if got := clock(nil); got != "–" {
		t.Errorf("no time is shown as %q", got)
	}
}
