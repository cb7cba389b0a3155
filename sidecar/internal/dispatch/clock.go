package dispatch

import (
	"context"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	// clockEvery is how often the clock is checked for having been set.
	clockEvery = 5 * time.Second

	// rescheduleEvery is how often a loop looks for jobs that wait too long
	// though no step of the clock was noticed: it was set before the start, or
	// another sidecar's clock is wrong. That reads the waiting jobs, so it
	// takes at most 1/rescheduleShare of the time.
	rescheduleEvery = time.Minute
	rescheduleShare = 100
)

// watchClock tells the loops when the clock was set, until ctx ends. The store
// uses the wall clock for when jobs are due; everything else uses one that
// cannot be set.
func (d *Dispatcher) watchClock(ctx context.Context) {
	t := time.NewTicker(clockEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		_, by := d.clock.Step()
		if by == 0 {
			continue
		}
		way := "forward"
		if by < 0 {
			way = "back"
		}
		d.log.Warn("this machine's clock was set "+way, "code", telemetry.CodeClockSet, "by", by.Abs().Round(time.Millisecond))
		for _, l := range d.all() {
			l.stale.Store(true)
			l.poke()
		}
	}
}

// reschedule brings forward jobs that wait too long, when it is time to look,
// and reports whether there were any.
func (l *loop) reschedule(ctx context.Context) (moved bool, err error) {
	if !l.stale.Swap(false) && time.Now().Before(l.rescheduleAt) {
		return false, nil
	}
	began := time.Now()
	n, err := l.d.store.Reschedule(ctx, l.name, l.d.clock.Now(), l.policy.Load().Schedule)
	if err != nil {
		l.stale.Store(true)
		return false, err
	}
	l.rescheduleAt = began.Add(max(rescheduleEvery, rescheduleShare*time.Since(began)))
	if n > 0 {
		l.d.log.Info("events waited longer than their schedule because a clock was wrong: they are due earlier now", "target", l.name, "events", n)
	}
	return n > 0, nil
}
