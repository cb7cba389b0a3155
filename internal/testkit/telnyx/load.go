package telnyx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Load is events under way, of all sizes.
type Load struct {
	stop func()
	wg   sync.WaitGroup

	mu    sync.Mutex
	acked []string // guarded by mu: ids of acknowledged events
	again int      // guarded by mu: attempts that were not the first
	err   error    // guarded by mu: events that were given up
}

// pause is between two events of a sender: what is tested is not the speed, and the
// machine may be busy with other tests.
const pause = 5 * time.Millisecond

// Load sends events, one at a time by each of some senders, until Stop. The names of
// loads must differ.
func (t *Telnyx) Load(ctx context.Context, name string, senders int) *Load {
	l := new(Load)
	stopping, stop := context.WithCancel(ctx)
	l.stop = stop
	for sender := range senders {
		l.wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for n := 0; stopping.Err() == nil; n++ {
				size := 300
				if n%10 == 3 {
					size = 20_000
				} else if n%40 == 20 {
					size = 900_000
				}
				id := fmt.Sprintf("%s-%d-%d", name, sender, n)
				tries, err := t.Persist(ctx, id, size) // also when stopping: an event that was begun is sent
				l.note(id, tries, err)
				<-tick.C
			}
		})
	}
	return l
}

func (l *Load) note(id string, tries int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again += tries - 1
	if err != nil {
		l.err = errors.Join(l.err, fmt.Errorf("event %s was given up: %w", id, err))
		return
	}
	l.acked = append(l.acked, id)
}

// More returns a check that so many more events are acknowledged than now.
func (l *Load) More(n int) func() error {
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	want := count() + n
	return func() error {
		if got := count(); got < want {
			return fmt.Errorf("%d events acknowledged, of %d", got, want)
		}
		return nil
	}
}

// Stop ends the load. It returns the acknowledged events, and how many attempts
// beyond the first they took.
func (l *Load) Stop() (acked []string, again int, err error) {
	l.stop()
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acked), l.again, l.err
}
