package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// BenchmarkCount measures the cost of counting one acknowledged webhook.
func BenchmarkCount(b *testing.B) {
	m := telemetry.NewMetrics("bench")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Event("message.received", "main", 300*time.Millisecond, false)
			m.Answered(telemetry.Accepted, 3*time.Millisecond)
		}
	})
}

// TestGaugesAreCheap: however often somebody looks, the backlog is counted
// seldom, and the more seldom the longer that takes.
func TestGaugesAreCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted, fails := 0, false
		m := telemetry.NewMetrics("test")
		g := telemetry.NewGauges(m, telemetry.Sources{
			Levels: func(context.Context) (telemetry.Levels, error) {
				counted++
				time.Sleep(time.Second) // in the bubble
				if fails {
					return telemetry.Levels{}, errors.New("no store")
				}
				return telemetry.Levels{StoreBytes: 42}, nil
			},
			Plugins:  func() []telemetry.Plugin { return nil },
			Targets:  func() []string { return []string{"plugin:a"} },
			DiskFree: func() (uint64, error) { return 0, errors.ErrUnsupported },
			Log:      slog.New(slog.DiscardHandler),
		})
		page := func() string {
			rec := httptest.NewRecorder()
			m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
			return rec.Body.String()
		}
		for began := time.Now(); time.Since(began) < 10*time.Minute; time.Sleep(100 * time.Millisecond) {
			if levels, ok := g.Levels(t.Context()); !ok || levels.StoreBytes != 42 {
				t.Fatalf("levels %+v, %v", levels, ok)
			}
		}
		if counted > 12 {
			t.Errorf("counted %d times in ten minutes, a second each", counted)
		}
		if text := page(); !strings.Contains(text, "hookswitch_store_bytes 42") || !strings.Contains(text, `hookswitch_backlog_events{state="pending",target="plugin:a"} 0`) {
			t.Error("the page lacks what was counted")
		}
		fails = true
		time.Sleep(time.Minute)
		if text := page(); strings.Contains(text, "hookswitch_store_bytes") || !strings.Contains(text, "hookswitch_build_info") {
			t.Error("a store that fails: its gauges are missing, and only they")
		}
	})
}
