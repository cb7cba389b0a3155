package pluginhost

import (
	"context"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// silence decides whether the event is to blame for the end of a process that has
// said nothing yet. A program that reads lines is ready as soon as it runs, and
// may end because it cannot work at all: its database is down. If it has lived
// without the event for longer than any silent process before it, and dies with
// the event, the event is to blame. It is safe for concurrent use.
type silence struct {
	mu       sync.Mutex
	lifespan time.Duration // the longest that a silent process has lived that died without cause
}

// lifespanFactor is how much longer a process must live than those before it.
const lifespanFactor = 1.5

// wait returns how long a silent process must live to be proven: at least base,
// and never more than a minute.
func (s *silence) wait(base time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(time.Minute, max(base, time.Duration(lifespanFactor*float64(s.lifespan))))
}

// proven reports whether a process has shown that it lives by itself.
func (s *silence) proven(r *running, base time.Duration) bool {
	return !r.Silent() || time.Since(r.began) >= s.wait(base)
}

// await waits until a process is proven.
func (s *silence) await(ctx context.Context, r *running, base time.Duration) error {
	select {
	case <-r.Heard():
		return nil
	case <-time.After(s.wait(base) - time.Since(r.began)):
		return nil
	case <-r.Link.Closing():
		return link.ErrMoved
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended records the end of a process.
func (s *silence) ended(r *running) {
	if !r.Silent() || r.tried.Load() || r.retired.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifespan = max(s.lifespan, time.Since(r.began))
}
