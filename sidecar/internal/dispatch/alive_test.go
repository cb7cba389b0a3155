package dispatch_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// stuckStore does not return from Claim while ctx lasts, once it is stuck.
type stuckStore struct {
	store.Store
	stuck chan struct{}
}

func (s stuckStore) Claim(ctx context.Context, target string, now time.Time, limit int) ([]delivery.Task, error) {
	select {
	case <-s.stuck:
		<-ctx.Done()
		return nil, ctx.Err()
	default:
		return nil, nil
	}
}
func (stuckStore) Routes(context.Context) ([]store.Route, error)   { return nil, nil }
func (stuckStore) SaveRoute(context.Context, store.Route) error    { return nil }
func (stuckStore) Backlog(context.Context) (map[string]int, error) { return nil, nil }
func (stuckStore) NextDue(context.Context, string) (t time.Time, _ bool, _ error) {
	return t, false, nil
}
func (stuckStore) Watch(ctx context.Context, _ func([]string)) error { <-ctx.Done(); return nil }
func (stuckStore) Renewed() <-chan struct{}                          { return nil }

// idle is a target that gets nothing.
type idle struct{}

func (idle) Name() string       { return "plugin:idle" }
func (idle) Patterns() []string { return nil }
func (idle) Drain()             {}
func (idle) Deliver(context.Context, delivery.Task) (delivery.Attempt, error) {
	return delivery.Attempt{}, nil
}

func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stuckStore{stuck: make(chan struct{})}
		d, err := dispatch.New(dispatch.Config{Store: s, Targets: []dispatch.Target{idle{}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = d.Run(ctx) }()
		time.Sleep(time.Hour) // in the bubble: an idle loop goes round by itself
		if err := d.Alive(); err != nil {
			t.Errorf("idle: %v", err)
		}
		close(s.stuck)
		time.Sleep(10 * time.Minute)
		if err := d.Alive(); err == nil {
			t.Error("a loop that stands still is alive")
		}
		cancel()
		<-ended
		if err := d.Alive(); err != nil {
			t.Errorf("stopped: %v", err)
		}
	})
}

// TestStoppedAtOnce: that the program ends is not a failure of the store.
func TestStoppedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		var log strings.Builder
		d, err := dispatch.New(dispatch.Config{Store: s, Targets: []dispatch.Target{newTarget(name, done)}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if err := d.Run(ctx); err != nil || log.Len() > 0 {
			t.Errorf("Run returned %v and logged %s", err, log.String())
		}
	})
}
