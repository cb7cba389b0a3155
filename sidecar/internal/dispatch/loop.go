package dispatch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// maxSleep bounds how long a loop trusts its timer: timers do not run while a
// machine is suspended, and clocks are set.
const maxSleep = time.Minute

// Waits after a failure of the store.
const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// loop works for one target, so that a slow one does not hold up the others.
type loop struct {
	d    *Dispatcher
	name string
	wake chan struct{} // of capacity 1: work may have become due, or a slot free

	target atomic.Pointer[Target]
	policy atomic.Pointer[delivery.Policy]

	suspects suspects
	breaker  breaker            // with the attempts that may be in flight
	stop     context.CancelFunc // nil until it runs; guarded by Dispatcher.loopsMu
	ended    chan struct{}      // closed when it no longer runs

	stale        atomic.Bool // the clock was set since jobs were last rescheduled
	rescheduleAt time.Time   // when to look again anyway; only run uses it

	inFlight atomic.Int32
	leaving  atomic.Bool  // it is being removed
	beat     atomic.Int64 // when it last went round, in nanoseconds since Dispatcher.began; 0: it does not run
}

// to returns the target of the next attempt.
func (l *loop) to() Target { return *l.target.Load() }

func (l *loop) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// run claims and starts work until ctx ends, and returns when the last attempt
// has ended. attempts and results are the contexts of the work it starts.
func (l *loop) run(ctx, attempts, results context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.giveBackHeld(results)
	backoff := firstBackoff
	defer l.beat.Store(0)
	for ctx.Err() == nil {
		l.beat.Store(max(1, int64(time.Since(l.d.began))))
		again := l.reach(ctx)
		ready, changed := l.ready()
		var tasks []delivery.Task
		sleep, err := maxSleep, error(nil)
		if ready {
			tasks, sleep, err = l.claim(ctx)
		}
		for _, task := range tasks {
			l.inFlight.Add(1)
			wg.Go(func() {
				// The slot is free before the loop is told so.
				defer l.poke()
				defer l.inFlight.Add(-1)
				l.attempt(attempts, results, task)
			})
		}
		switch {
		case err == nil:
			backoff = firstBackoff
		case errors.Is(err, store.ErrClosed):
			<-ctx.Done() // the program is stopping, or has a bug that it will report
			return
		case ctx.Err() == nil:
			l.d.log.Error("cannot claim work", "code", telemetry.CodeClaimFailed, "target", l.name, "retry_in", backoff, "error", err)
			sleep, backoff = backoff, min(2*backoff, maxBackoff)
		}
		l.sleep(ctx, min(sleep, again), changed)
	}
}

// reach asks an unavailable target that could not be connected to whether it is back,
// when it is time for that, and returns in how long it may be time again. A target
// that is back gets an event, and what it has missed after that.
func (l *loop) reach(ctx context.Context) (again time.Duration) {
	target, ok := l.to().(Reachable)
	if !ok {
		return maxSleep
	}
	if wait := l.breaker.mayReach(time.Now()); wait > 0 {
		return wait
	}
	short, cancel := context.WithTimeout(ctx, reachEvery)
	defer cancel()
	if target.Reach(short) == nil {
		l.hurry(ctx, l.breaker.reached(time.Now()), 1, "the target takes connections again: an event is tried now")
		return maxSleep
	}
	return reachEvery
}

// ready asks the target whether it can take something. The answer may have
// changed when the work is claimed; then Deliver gives it back. The loop goes
// round whenever changed is closed, so that a target that has come up finds work
// even if a wake was lost.
func (l *loop) ready() (ok bool, changed <-chan struct{}) {
	if t, ok := l.to().(Intermittent); ok {
		return t.Ready()
	}
	return true, nil
}

// claim takes due work into the free slots and returns how long nothing will be
// due after that. A slot that becomes free ends the wait anyway. Suspects are
// held back until nothing else is due or under way, and go one at a time.
func (l *loop) claim(ctx context.Context) ([]delivery.Task, time.Duration, error) {
	now, wall := time.Now(), l.d.clock.Now() // stored jobs are due by the wall clock
	inFlight := int(l.inFlight.Load())
	free, wait := l.breaker.free(now, inFlight)
	if free <= 0 {
		return nil, min(wait, maxSleep), nil
	}
	wellSince, well := l.breaker.available()
	switch q := l.suspects.queue(now, wellSince, well); {
	case q.alone || q.overdue && inFlight > 0:
		return nil, maxSleep, nil // the end of the attempt under way wakes the loop
	case q.overdue && q.settles > 0:
		return nil, q.settles, nil
	case q.overdue:
		return l.begin(l.suspects.next()), maxSleep, nil
	}
	var tasks []delivery.Task
	for len(tasks) < free {
		claimed, err := l.d.store.Claim(ctx, l.name, wall, free-len(tasks))
		if err != nil {
			return l.begin(tasks), maxSleep, err
		}
		others := l.suspects.hold(claimed, now)
		asked := free - len(tasks)
		tasks = append(tasks, others...)
		if len(claimed) < asked {
			break
		}
		if l.suspects.queue(now, wellSince, well).held >= maxHeld {
			break
		}
	}
	if len(tasks) == free {
		return l.begin(tasks), maxSleep, nil
	}
	due, ok, err := l.d.store.NextDue(ctx, l.name)
	if err != nil {
		return l.begin(tasks), maxSleep, err
	}
	sleep := maxSleep
	if ok {
		if moved, err := l.reschedule(ctx); moved || err != nil {
			return l.begin(tasks), 0, err
		}
		sleep = min(due.Sub(wall), maxSleep)
	}
	switch q := l.suspects.queue(now, wellSince, well); {
	case q.held == 0 || len(tasks) > 0 || inFlight > 0:
	case q.settles > 0:
		sleep = min(sleep, q.settles)
	case !ok || due.Sub(wall) > soonDue:
		return l.begin(l.suspects.next()), maxSleep, nil
	default:
		sleep = min(sleep, soonDue)
	}
	return l.begin(tasks), sleep, nil
}

// begin counts attempts that begin in the breaker.
func (l *loop) begin(tasks []delivery.Task) []delivery.Task {
	l.breaker.started(len(tasks))
	return tasks
}

// giveBackHeld gives back the suspects that were claimed but not tried.
func (l *loop) giveBackHeld(ctx context.Context) {
	for _, t := range l.suspects.release() {
		l.release(ctx, t)
	}
}

func (l *loop) sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-l.wake:
	case <-changed:
	case <-t.C:
	}
}
