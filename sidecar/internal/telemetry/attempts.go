package telemetry

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// OverdueGrace is how much longer than its limit an attempt may take on a busy
// machine.
const OverdueGrace = 10 * time.Second

// Attempts watches attempts that are under way. A target limits its attempts
// itself; one that outlives the limit holds its slot until a restart, so
// liveness needs [Attempts.Check]. It is safe for concurrent use, and a nil
// *Attempts watches nothing.
type Attempts struct {
	log   *slog.Logger
	grace time.Duration

	mu      sync.Mutex
	overdue map[string]int // guarded by mu: attempts by target
}

// NewAttempts returns an Attempts that logs when attempts of a target are
// overdue by more than grace, and when none is any more.
func NewAttempts(log *slog.Logger, grace time.Duration) *Attempts {
	return &Attempts{log: log, grace: grace, overdue: make(map[string]int)}
}

// Begin registers an attempt that should be over within limit. The caller calls
// ended when it is.
func (a *Attempts) Begin(target, eventID string, limit time.Duration) (ended func()) {
	if a == nil {
		return func() {}
	}
	began := time.Now()
	late := make(chan struct{})
	timer := time.AfterFunc(limit+a.grace, func() {
		defer close(late)
		a.late(target, eventID, time.Since(began), limit)
	})
	return func() {
		if timer.Stop() {
			return
		}
		<-late
		a.over(target)
	}
}

func (a *Attempts) late(target, eventID string, took, limit time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.overdue[target]++
	if a.overdue[target] == 1 { // one line, however many follow
		a.log.Error("an attempt has not ended within its limit: it holds a slot of its target, and /livez fails until it ends", "code", CodeAttemptOverdue,
			"target", target, "event_id", eventID, "took", took, "limit", limit)
	}
}

func (a *Attempts) over(target string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.overdue[target]--; a.overdue[target] == 0 {
		delete(a.overdue, target)
		a.log.Info("no attempt is overdue any more", "target", target)
	}
}

// Check returns an error while an attempt is overdue.
func (a *Attempts) Check() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for target, n := range a.overdue {
		return fmt.Errorf("%d attempts at %s have not ended within their limit", n, target)
	}
	return nil
}
