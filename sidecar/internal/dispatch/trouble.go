package dispatch

import (
	"log/slog"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// sayTrouble is how often it is said that results cannot be recorded, while
// that lasts.
const sayTrouble = time.Minute

// trouble counts the results that cannot be recorded, so that a store which
// fails for minutes is one line a minute and not one for each try at each
// result. It is safe for concurrent use.
type trouble struct {
	log *slog.Logger

	mu      sync.Mutex
	waiting int       // guarded by mu: results that are being tried again
	late    int       // guarded by mu: all that had to wait, since since
	since   time.Time // guarded by mu: when the first of those failed
	said    time.Time // guarded by mu
}

// begin counts a result that failed for the first time.
func (t *trouble) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == 0 {
		t.since, t.late = time.Now(), 0
	}
	t.waiting++
	t.late++
}

// say tells of the failures, unless it has done so not long ago.
func (t *trouble) say(target string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !t.said.IsZero() && now.Sub(t.said) < sayTrouble {
		return
	}
	t.said = now
	t.log.Warn("results of attempts cannot be recorded: they are tried until they are, and their targets get nothing new meanwhile", "code", telemetry.CodeResultUnrecorded,
		"results", t.waiting, "target", target, "for", now.Sub(t.since).Round(time.Second), "error", err)
}

// end counts a result that was recorded at last, or given up.
func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting--; t.waiting > 0 {
		return
	}
	now := time.Now()
	// Only of what was said above.
	if !t.said.Before(t.since) {
		t.log.Info("no result of an attempt waits to be recorded any more", "results", t.late, "after", now.Sub(t.since).Round(time.Millisecond))
	}
}
