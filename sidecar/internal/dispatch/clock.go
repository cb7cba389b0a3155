package dispatch

import (
	"context"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	// clockEvery is how often it is looked whether the clock was set.
	clockEvery = 5 * time.Second

	// rescheduleEvery is how often a loop looks for jobs that wait longer
	// than they should though nobody has noticed that the clock was set: it
	// was before the start, or the clock of another sidecar is wrong. That
	// reads the jobs that wait, so it takes at most 1/rescheduleShare of the
	// time.
	rescheduleEvery = time.Minute
	rescheduleShare = 100
)

// watchClock tells the loops when the clock was set, until ctx ends. When jobs
// are due is stored by the wall clock; all else here goes by one that cannot be
// set.
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
		d.log.Warn("the clock of this machine was set "+way, "code", telemetry.CodeClockSet, "by", by.Abs().Round(time.Millisecond))
		for _, l := range d.all() {
			l.stale.Store(true)
			l.poke()
		}
	}
}

// reschedule brings forward what waits too long, when it is time to look, and
// reports whether there was any.
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
		l.d.log.Info("events waited longer than their schedule, since a clock was wrong: they are due earlier now", "target", l.name, "events", n)
	}
	return n > 0, nil
}
