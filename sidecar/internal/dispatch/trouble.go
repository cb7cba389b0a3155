package dispatch

import (
	"log/slog"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// sayTrouble is how often the log says that results cannot be recorded, while
// that lasts.
const sayTrouble = time.Minute

// trouble counts the results that cannot be recorded, so that a store which
// fails for minutes costs one line a minute rather than one for each try at each
// result. It is safe for concurrent use.
type trouble struct {
	log *slog.Logger

	mu      sync.Mutex
	waiting int       // guarded by mu: results being retried
	late    int       // guarded by mu: all that have had to wait since then
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

// say logs the failures, unless it has done so recently.
func (t *trouble) say(target string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !t.said.IsZero() && now.Sub(t.said) < sayTrouble {
		return
	}
	t.said = now
	t.log.Warn("results of attempts cannot be recorded: hookswitch keeps trying, and their targets get nothing new meanwhile", "code", telemetry.CodeResultUnrecorded,
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
	// Only if the failure was logged.
	if !t.said.Before(t.since) {
		t.log.Info("all results of attempts are recorded again", "results", t.late, "after", now.Sub(t.since).Round(time.Millisecond))
	}
}
