package retention_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// keep runs a Keeper over a store of n events of 1000 bytes, for a time, and
// returns how many are left and what was logged.
func keep(t *testing.T, n int, targets []string, cfg retention.Config, during time.Duration) (left int, log string) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for i := range n {
			e := &store.Event{Key: fmt.Sprint(i), ReceivedAt: time.Now(), PayloadLen: -1, Body: make([]byte, 1000)}
			if _, err := s.Accept(t.Context(), e, targets); err != nil {
				t.Fatal(err)
			}
		}
		var text bytes.Buffer
		cfg.Every = 30 * time.Minute
		cfg.Store, cfg.Log = s, slog.New(slog.NewTextHandler(&text, nil))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- retention.New(cfg).Run(ctx) }()
		time.Sleep(during)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		p, err := s.PreviewReplay(t.Context(), store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		left, log = p.Events, text.String()
	})
	return left, log
}

func TestOldEventsAreRemoved(t *testing.T) {
	day := 24 * time.Hour
	for _, tt := range []struct {
		name    string
		cfg     retention.Config
		targets []string
		during  time.Duration
		want    int
	}{
		{"before their time all are kept", retention.Config{Limits: retention.Limits{Keep: day}}, nil, day - time.Hour, 500},
		{"after it none", retention.Config{Limits: retention.Limits{Keep: day}}, nil, day + time.Hour, 0},
		{"pending ones are kept", retention.Config{Limits: retention.Limits{Keep: day}}, []string{"plugin:a"}, day + time.Hour, 500},
		{"another age says nothing about them", retention.Config{Limits: retention.Limits{KeepDead: day}}, nil, day + time.Hour, 500},
		{"without a limit all are kept", retention.Config{}, nil, 1000 * day, 500},
		{"a store that is too large is emptied", retention.Config{Limits: retention.Limits{MaxBytes: 1}}, nil, time.Hour, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			left, log := keep(t, 500, tt.targets, tt.cfg, tt.during)
			if left != tt.want {
				t.Errorf("%d events are left, want %d\n%s", left, tt.want, log)
			}
			if said := strings.Contains(log, "old events removed"); said != (tt.want == 0) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

func TestAStoreThatCannotShrinkIsReported(t *testing.T) {
	left, log := keep(t, 10, []string{"plugin:a"}, retention.Config{Limits: retention.Limits{MaxBytes: 1000}}, time.Hour)
	if left != 10 || !strings.Contains(log, "HOOKSWITCH_MAX_DISK") {
		t.Errorf("%d events are left; log:\n%s", left, log)
	}
}

// TestLimitsChange: what is kept can be changed while the Keeper runs.
func TestLimitsChange(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Accept(t.Context(), &store.Event{Key: "a", ReceivedAt: time.Now(), PayloadLen: -1}, nil); err != nil {
			t.Fatal(err)
		}
		left := func() int {
			time.Sleep(48 * time.Hour)
			p, err := s.PreviewReplay(t.Context(), store.Query{})
			if err != nil {
				t.Fatal(err)
			}
			return p.Events
		}
		ctx, cancel := context.WithCancel(t.Context())
		keeper, done := retention.New(retention.Config{Store: s, Every: time.Hour}), make(chan error)
		go func() { done <- keeper.Run(ctx) }()
		if n := left(); n != 1 {
			t.Errorf("%d events are left without a limit", n)
		}
		keeper.Set(retention.Limits{Keep: time.Hour})
		if n := left(); n != 0 {
			t.Errorf("%d events are left with a limit of an hour", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
