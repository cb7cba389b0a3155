package dispatch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

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
	policy atomic.Pointer[store.Policy]

	breaker breaker            // with the attempts that may be in flight
	stop    context.CancelFunc // nil until it runs; guarded by Dispatcher.loopsMu
	ended   chan struct{}      // closed when it does not run any more

	inFlight atomic.Int32
	leaving  atomic.Bool  // it is being removed
	beat     atomic.Int64 // when it last went round, in nanoseconds since Dispatcher.began; 0: it does not run
}

// to returns the target that the next attempt is made at.
func (l *loop) to() Target { return *l.target.Load() }

func (l *loop) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// run claims and starts work until ctx ends, and returns when the last attempt
// has. attempts and results are the contexts of what it starts.
func (l *loop) run(ctx, attempts, results context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	backoff := firstBackoff
	defer l.beat.Store(0)
	for ctx.Err() == nil {
		l.beat.Store(max(1, int64(time.Since(l.d.began))))
		ready, changed := l.ready()
		var tasks []store.Task
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
		l.sleep(ctx, sleep, changed)
	}
}

// ready asks the target whether it can take something. It may be another answer
// when the work is claimed; then Deliver gives it back. The loop goes round
// whenever changed is closed, so that a target that has come up also finds what
// a lost wake would have told of.
func (l *loop) ready() (ok bool, changed <-chan struct{}) {
	if t, ok := l.to().(Intermittent); ok {
		return t.Ready()
	}
	return true, nil
}

// claim takes due work into the free slots and says how long nothing will be
// due after that. A slot that becomes free ends the wait anyway.
func (l *loop) claim(ctx context.Context) ([]store.Task, time.Duration, error) {
	free, wait := l.breaker.free(time.Now(), int(l.inFlight.Load()))
	if free <= 0 {
		return nil, min(wait, maxSleep), nil
	}
	tasks, err := l.d.store.Claim(ctx, l.name, time.Now(), free)
	if err != nil || len(tasks) == free {
		return tasks, maxSleep, err
	}
	due, ok, err := l.d.store.NextDue(ctx, l.name)
	if err != nil || !ok {
		return tasks, maxSleep, err
	}
	return tasks, min(time.Until(due), maxSleep), nil
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
