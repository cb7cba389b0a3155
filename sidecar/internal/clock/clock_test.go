package clock

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestStep(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name              string
		wall, awake, boot time.Duration // that pass
		want              time.Duration
	}{
		{"all go on", time.Minute, time.Minute, time.Minute, 0},
		{"they are not read in the same instant", time.Minute + slack/2, time.Minute, time.Minute - slack/2, 0},
		{"set forward", time.Minute + 91*24*time.Hour, time.Minute, time.Minute, 91 * 24 * time.Hour},
		{"set back", time.Minute - time.Hour, time.Minute, time.Minute, -time.Hour},
		{"suspended", 8*time.Hour + time.Minute, time.Minute, 8*time.Hour + time.Minute, 0},
		{"suspended, and the wall clock stood still", time.Minute, time.Minute, 8*time.Hour + time.Minute, 0},
		{"suspended, and set forward", 10 * time.Hour, time.Minute, 8 * time.Hour, 2 * time.Hour},
		{"suspended, and set back", -time.Hour, time.Minute, 8 * time.Hour, -time.Hour - time.Minute},
		{"a system that does not tell of suspension", time.Hour, time.Minute, 0, time.Hour - time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := Reading{Wall: at, Awake: time.Hour, Boot: 2 * time.Hour}
			if tt.boot == 0 {
				now.Boot = 0
			}
			c := New(func() Reading { return now })
			now = Reading{Wall: at.Add(tt.wall), Awake: now.Awake + tt.awake, Boot: now.Boot + tt.boot}
			if at, got := c.Step(); got != tt.want || !at.Equal(now.Wall) {
				t.Errorf("a step of %v at %v, want %v at %v", got, at, tt.want, now.Wall)
			}
			if _, got := c.Step(); got != 0 {
				t.Errorf("told again: %v", got)
			}
			if !c.Now().Equal(now.Wall) {
				t.Errorf("now is %v", c.Now())
			}
		})
	}
}

// TestAdjust: ages leave out exactly the time by which the clock was set forward.
func TestAdjust(t *testing.T) {
	const day = 24 * time.Hour
	now := Reading{Wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Awake: time.Hour, Boot: time.Hour}
	c := New(func() Reading { return now })
	pass := func(d, set time.Duration) {
		now.Wall, now.Awake, now.Boot = now.Wall.Add(d+set), now.Awake+d, now.Boot+d
	}
	age := func(since time.Time) time.Duration { return now.Wall.Sub(c.Adjust(since)) }
	want := func(since time.Time, want time.Duration) {
		t.Helper()
		if got := age(since); got != want {
			t.Errorf("an age of %v, want %v", got, want)
		}
	}

	before := now.Wall
	pass(time.Hour, 0)
	want(before, time.Hour)
	pass(time.Hour, 91*day) // set forward within this hour
	want(before, 2*time.Hour)
	after := now.Wall
	pass(time.Hour, 0)
	want(before, 3*time.Hour)
	want(after, time.Hour)
	pass(time.Hour, -90*day) // set back, not all of it
	want(before, 4*time.Hour)
	pass(time.Hour, -day)
	want(before, 5*time.Hour)
	want(now.Wall.Add(-time.Minute), time.Minute)
	if _, got := c.Step(); got != 0 {
		t.Errorf("a step of %v is left", got)
	}
	for range 3 * maxSteps {
		pass(time.Hour, day)
		c.Step()
	}
	if len(c.forward) != maxSteps {
		t.Errorf("%d steps are remembered", len(c.forward))
	}
}

// TestSystem: the clocks of this machine, and those of a test that fakes time,
// do not look as if they were set.
func TestSystem(t *testing.T) {
	// Without it each night of a laptop would look like a clock that was set.
	if known := runtime.GOOS == "linux" || runtime.GOOS == "darwin"; boot() < 0 || known && boot() == 0 {
		t.Errorf("the machine is up for %v", boot())
	}
	c := New(nil)
	if _, got := c.Step(); got != 0 {
		t.Errorf("a step of %v", got)
	}
	synctest.Test(t, func(t *testing.T) {
		c := New(nil)
		time.Sleep(1000 * time.Hour)
		if _, got := c.Step(); got != 0 {
			t.Errorf("a step of %v", got)
		}
	})
}
