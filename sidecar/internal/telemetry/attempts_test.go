package telemetry_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// TestOverdueAttempts: said once for each target, and over when the attempts
// are.
func TestOverdueAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := telemetry.NewAttempts(slog.New(slog.NewTextHandler(&log, nil)), telemetry.OverdueGrace)
		inTime := a.Begin("forward:a", "1", time.Second)
		first := a.Begin("forward:a", "2", time.Minute)
		second := a.Begin("forward:a", "3", time.Minute)
		time.Sleep(5 * time.Second)
		inTime()
		time.Sleep(time.Minute)
		if err := a.Check(); err != nil {
			t.Errorf("a little late: %v", err)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), "2 attempts at forward:a") {
			t.Errorf("overdue: %v", err)
		}
		if got := strings.Count(log.String(), "code=attempt-overdue"); got != 1 {
			t.Errorf("%d lines, want one for the target:\n%s", got, &log)
		}
		first()
		if a.Check() == nil {
			t.Error("one is still overdue")
		}
		second()
		if err := a.Check(); err != nil || !strings.Contains(log.String(), "no attempt is overdue") {
			t.Errorf("all have ended: %v\n%s", err, &log)
		}
	})
	var none *telemetry.Attempts
	none.Begin("forward:a", "1", 0)()
}
