package metered

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

const (
	// failedInARow is how many different events in a row must fail before the
	// sidecar stops being ready: a single bad event, sent again and again, is
	// not enough.
	failedInARow = 3

	// suspectFor is how long the last of them is tried. Then any other event
	// decides, in case that one cannot be stored at all.
	suspectFor = 5 * time.Minute
)

// watch counts failing accepts. The fault may be one that other events do not
// meet, such as a damaged page of an index: so readiness tries the last event that
// failed. It is safe for concurrent use.
type watch struct {
	alarm func() // called when it becomes doubtful that events are accepted

	mu      sync.Mutex
	row     int             // guarded by mu: different events that failed in a row
	last    *delivery.Event // guarded by mu: the last of them; nil if row is 0
	targets []string        // guarded by mu: of last
	at      time.Time       // guarded by mu: when it failed
}

// done is called at the end of each accept.
func (w *watch) done(e *delivery.Event, targets []string, err error) {
	if errors.Is(err, store.ErrClosed) || errors.Is(err, context.Canceled) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.row, w.last, w.targets = 0, nil, nil
		return
	}
	if w.last == nil || w.last.Key != e.Key {
		w.row++
	}
	w.last, w.targets, w.at = e, targets, time.Now()
	if w.row >= failedInARow {
		w.alarm()
	}
}

// suspect returns the event to try, or nil if accepts seem to work.
func (w *watch) suspect() (e *delivery.Event, targets []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.row < failedInARow || time.Since(w.at) > suspectFor {
		return nil, nil
	}
	return w.last, w.targets
}

// check reports whether s takes events.
func (w *watch) check(ctx context.Context, s store.Store) error {
	e, targets := w.suspect()
	if e == nil {
		return s.Ping(ctx)
	}
	if err := s.Probe(ctx, e, targets); err != nil {
		return fmt.Errorf("several accepts have failed in a row, and so does the last of them when it is tried again: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == e {
		w.row, w.last, w.targets = 0, nil, nil
	}
	return nil
}
