//go:build unix

package pluginhost

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// awaitReady waits until the plugin is ready, or is not.
func awaitReady(t *testing.T, p *Plugin, want bool) {
	t.Helper()
	deadline := time.NewTimer(soon)
	defer deadline.Stop()
	for {
		ok, changed := p.Ready()
		if ok == want {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("ready is %v (status %+v)", ok, p.Status())
		}
	}
}

// Events that wait while there is no process are given back, whatever the reason,
// and the plugin says so.
func TestNotReady(t *testing.T) {
	const hold = 20 * time.Millisecond
	givesBack := func(t *testing.T, p *Plugin) {
		t.Helper()
		began := time.Now()
		a, err := p.Deliver(t.Context(), task(1, "ack"))
		if !errors.Is(err, delivery.ErrNotReady) || time.Since(began) < hold {
			t.Errorf("after %v: %+v, %v", time.Since(began), a, err)
		}
	}
	t.Run("it does not start", func(t *testing.T) {
		s := newSetup(t, nil, "exits")
		s.timings.hold, s.timings.backoffBase = hold, time.Hour
		p := s.plugin(t, "exits")
		if ok, _ := p.Ready(); ok {
			t.Error("ready before it was started")
		}
		s.start(t)
		awaitReady(t, p, false)
		givesBack(t, p)
	})
	t.Run("it crashes", func(t *testing.T) {
		s := newSetup(t, nil, "good")
		s.timings.hold, s.timings.backoffBase, s.timings.settled = hold, time.Hour, 0
		s.timings.crashMax, s.timings.probe = 1, time.Hour
		s.start(t)
		p := s.plugin(t, "good")
		awaitReady(t, p, true)
		check(t, syscall.Kill(p.Status().PID, syscall.SIGKILL))
		awaitReady(t, p, false)
		givesBack(t, p)
		check(t, s.Reload(t.Context(), "good"))
		awaitReady(t, p, true)
	})
	t.Run("it is disabled while an event waits for credit", func(t *testing.T) {
		s := newSetup(t, nil, "single")
		s.timings.hold = hold
		s.start(t)
		p := s.plugin(t, "single")
		first, second := make(chan delivery.Attempt, 1), make(chan error, 1)
		go func() { first <- deliver(t, p, task(1, "slow")) }()
		s.log.wait(t, 1, "begun")
		go func() {
			_, err := p.Deliver(t.Context(), task(2, "ack"))
			second <- err
		}()
		check(t, s.SetEnabled(t.Context(), "single", false))
		awaitReady(t, p, false)
		if err := <-second; !errors.Is(err, delivery.ErrNotReady) {
			t.Errorf("the one that waited: %v", err)
		}
		if a := <-first; a.Outcome != delivery.OutcomeDone {
			t.Errorf("the one that was sent: %+v", a)
		}
		_, changed := p.Ready()
		check(t, s.SetEnabled(t.Context(), "single", true))
		<-changed
		awaitReady(t, p, true)
		if a := deliver(t, p, task(2, "ack")); a.Outcome != delivery.OutcomeDone {
			t.Errorf("enabled again: %+v", a)
		}
	})
}

// A suspect that waits until it can be alone is not given back, and a swap
// leaves no gap in which the plugin is not ready.
func TestStaysReady(t *testing.T) {
	s := newSetup(t, nil, "good")
	s.timings.hold = 20 * time.Millisecond
	s.start(t)
	p := s.plugin(t, "good")
	p.suspects.crashed("delivery-2", 0, false)
	p.suspects.crashed("delivery-2", 1, false)
	slow, alone := make(chan delivery.Attempt, 1), make(chan delivery.Attempt, 1)
	go func() { slow <- deliver(t, p, task(1, "slow")) }()
	s.log.wait(t, 1, "begun")
	suspect := task(2, "ack")
	suspect.Job.Attempts = 2
	go func() { alone <- deliver(t, p, suspect) }()
	if a, b := <-slow, <-alone; a.Outcome != delivery.OutcomeDone || b.Outcome != delivery.OutcomeDone {
		t.Errorf("the one before %+v, the suspect %+v", a, b)
	}
	over, gaps := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			ok, changed := p.Ready()
			if !ok {
				n++
			}
			select {
			case <-changed:
			case <-over:
				gaps <- n
				return
			}
		}
	}()
	check(t, s.Reload(t.Context(), "good"))
	check(t, s.Reload(t.Context(), "good"))
	close(over)
	if n := <-gaps; n > 0 {
		t.Errorf("not ready %d times", n)
	}
}
