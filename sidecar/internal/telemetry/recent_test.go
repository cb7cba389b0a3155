package telemetry

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestRecent(t *testing.T) {
	var out bytes.Buffer
	var r Recent
	log := r.Watch(slog.New(slog.NewTextHandler(&out, nil)))
	log.Info("started")
	log.With("plugin", "crm").Error("plugin is down", "code", CodePluginDown, "error", fmt.Errorf("exit status 1"))
	log.With("plugin", "crm").Warn("printed by a plugin", "stream", "stderr")
	log.Debug("nobody wants this")
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d lines are logged, want 3:\n%s", got, &out)
	}
	lines := r.Lines()
	if len(lines) != 1 || lines[0].Level != "ERROR" || lines[0].Message != "plugin is down" || lines[0].Time.IsZero() ||
		lines[0].Attrs["plugin"] != "crm" || lines[0].Attrs["code"] != "plugin-down" || lines[0].Attrs["error"] != "exit status 1" {
		t.Fatalf("%+v", lines)
	}
	for i := range 2 * recentLines {
		log.Warn(fmt.Sprint(i))
	}
	if lines = r.Lines(); len(lines) != recentLines || lines[0].Message != fmt.Sprint(recentLines) || lines[recentLines-1].Message != fmt.Sprint(2*recentLines-1) {
		t.Errorf("%d lines, from %+v", len(lines), lines[0])
	}
}

// TestRecentBehindBrake: a flood of refused requests does not push out the rest, and is
// still summed up.
func TestRecentBehindBrake(t *testing.T) {
	var out bytes.Buffer
	plain, err := NewLogger(&out, "text", nil)
	if err != nil {
		t.Fatal(err)
	}
	var r Recent
	log := r.Watch(plain)
	for range 10 * recentLines {
		log.Warn("request rejected", "code", CodeRequestRejected, "reason", "signature")
	}
	SumUp(log)
	lines := r.Lines()
	if n := len(lines); n < brakeBurst || n > 2*brakeBurst || strings.Count(out.String(), "\n") != n {
		t.Errorf("%d lines are kept, %d written", n, strings.Count(out.String(), "\n"))
	}
	if last := lines[len(lines)-1]; last.Attrs["left_out"] == "" {
		t.Errorf("the last line is not the sum: %+v", last)
	}
}
