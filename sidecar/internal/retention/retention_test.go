package retention_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// keep runs a Keeper over a store of n events of 1000 bytes, for a time, and
// returns how many are left and what was logged. With a limit of bytes it looks at the
// store every second: an hour is 3,600 times.
func keep(t *testing.T, n int, targets []string, cfg retention.Config, during time.Duration) (left int, log string) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for i := range n {
			e := &delivery.Event{Key: fmt.Sprint(i), ReceivedAt: time.Now(), PayloadLen: -1, Body: make([]byte, 1000)}
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
		{"a store that is too large is emptied", retention.Config{Limits: retention.Limits{MaxBytes: 1}}, nil, 5 * time.Minute, 0},
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
	left, log := keep(t, 10, []string{"plugin:a"}, retention.Config{Limits: retention.Limits{MaxBytes: 1000}}, 5*time.Minute)
	if left != 10 || !strings.Contains(log, "HOOKSWITCH_MAX_DISK") {
		t.Errorf("%d events are left; log:\n%s", left, log)
	}
}

// TestDeadLettersHaveTheirOwnAge: a dead letter is kept for KeepDead, whatever
// Keep is, and what was delivered for Keep, whatever KeepDead is.
func TestDeadLettersHaveTheirOwnAge(t *testing.T) {
	const short, long = 10 * time.Hour, 20 * time.Hour
	for _, tt := range []struct {
		name                       string
		limits                     retention.Limits
		early, late                int  // events that are left after 15 and after 25 hours
		deadIsLeft, finishedIsLeft bool // after 15 hours
	}{
		{"dead letters longer", retention.Limits{Keep: short, KeepDead: long}, 1, 0, true, false},
		{"dead letters shorter", retention.Limits{Keep: long, KeepDead: short}, 1, 0, false, true},
		{"dead letters for ever", retention.Limits{Keep: short}, 1, 1, true, false},
		{"others for ever", retention.Limits{KeepDead: short}, 1, 1, false, true},
		{"both as long", retention.Limits{Keep: long, KeepDead: long}, 2, 0, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, dir)
				m.limits = tt.limits
				unhandled := &delivery.Event{Key: "finished", ReceivedAt: time.Now(), PayloadLen: -1}
				if _, err := m.store.Accept(t.Context(), unhandled, nil); err != nil {
					t.Fatal(err)
				}
				left := func(q store.Query) int {
					p, err := m.store.PreviewReplay(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					return p.Events
				}
				m.run(func() {
					time.Sleep(short - time.Hour)
					if n := left(store.Query{}); n != 2 {
						t.Errorf("%d of 2 events are left before their time", n)
					}
					time.Sleep(6 * time.Hour)
					if n := left(store.Query{}); n != tt.early {
						t.Errorf("%d events are left after 15 hours, want %d", n, tt.early)
					}
					if dead := left(store.Query{Status: store.StatusDead}) == 1; dead != tt.deadIsLeft {
						t.Errorf("the dead letter is left: %v", dead)
					}
					if finished := left(store.Query{Status: store.StatusUnhandled}) == 1; finished != tt.finishedIsLeft {
						t.Errorf("the other event is left: %v", finished)
					}
					time.Sleep(10 * time.Hour)
					if n := left(store.Query{}); n != tt.late {
						t.Errorf("%d events are left after 25 hours, want %d", n, tt.late)
					}
				})
			})
		})
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
		if _, err := s.Accept(t.Context(), &delivery.Event{Key: "a", ReceivedAt: time.Now(), PayloadLen: -1}, nil); err != nil {
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

// scripted is a store whose size and contents a test decides.
type scripted struct {
	store.Operator

	mu        sync.Mutex // guards the rest while a Keeper runs
	excess    int64      // while removable events are left, and after that if stuck
	removable int
	stuck     bool
	grows     int // events that become removable once Prune has passed them
	looks     int
}

func (s *scripted) Excess(context.Context, store.Retention) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.removable > 0 || s.stuck {
		return s.excess, nil
	}
	return 0, nil
}

func (s *scripted) Prune(_ context.Context, _ store.Retention, limit int) (store.Pruned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(limit, s.removable)
	s.removable -= n
	got := store.Pruned{Events: n, More: n > 0}
	if !got.More { // the end of a way through
		s.removable, s.grows = s.grows, 0
	}
	if s.removable > 0 || s.stuck {
		got.Bytes, got.Excess = s.excess, s.excess
	}
	return got, nil
}

// set changes what there is to remove.
func (s *scripted) set(stuck bool, removable int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck, s.removable = stuck, removable
}

// left is how much there is to remove.
func (s *scripted) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removable
}

// run runs a Keeper over s for a time, in a bubble, and returns what it logged.
func run(t *testing.T, s *scripted, during time.Duration, change func()) (log string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		k := retention.New(retention.Config{Store: s, Limits: retention.Limits{MaxBytes: 1000}, Log: slog.New(slog.NewTextHandler(&text, nil))})
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(during)
		synctest.Wait()
		if change != nil {
			change()
			time.Sleep(during)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		log = text.String()
	})
	return log
}

// TestTooLargeIsSaidOnlyIfNothingCanGo: that a store is still too large after
// events were removed says that it grows, not that something is in the way.
func TestTooLargeIsSaidOnlyIfNothingCanGo(t *testing.T) {
	s := &scripted{excess: 500, removable: 450, grows: 300}
	if log := run(t, s, 10*time.Second, nil); strings.Contains(log, "store-too-large") {
		t.Errorf("log:\n%s", log)
	}
	if s.removable != 0 || s.grows != 0 {
		t.Errorf("%d events are left within 10 s", s.removable+s.grows)
	}
}

// TestTooLargeIsSaidOnce: and again after an hour, and when it has come back.
func TestTooLargeIsSaidOnce(t *testing.T) {
	s := &scripted{excess: 500, stuck: true}
	log := run(t, s, 50*time.Minute, func() { s.set(false, 0) })
	if n := strings.Count(log, "store-too-large"); n != 1 {
		t.Errorf("said %d times in 50 minutes:\n%s", n, log)
	}
	s = &scripted{excess: 500, stuck: true}
	log = run(t, s, 90*time.Minute, func() {
		s.set(false, 0)
		time.Sleep(2 * time.Minute)
		s.set(true, 0)
	})
	if n := strings.Count(log, "store-too-large"); n < 3 || n > 4 {
		t.Errorf("said %d times in 180 minutes with a gap:\n%s", n, log)
	}
}

// TestSizeIsWatched: a store that grows is made smaller within a second, not
// within a minute.
func TestSizeIsWatched(t *testing.T) {
	s := &scripted{excess: 500}
	run(t, s, 5*time.Second, func() {
		s.set(false, 100)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if n := s.left(); n != 0 {
			t.Errorf("%d events are left after 1.5 s", n)
		}
	})
}

// TestStuckStoreIsTriedAgainSoon: all that is in a store may be pending for a
// moment only, and it grows by hundreds of MB in a minute of load.
func TestStuckStoreIsTriedAgainSoon(t *testing.T) {
	s := &scripted{excess: 500, stuck: true}
	run(t, s, 10*time.Second, func() {
		s.set(false, 100)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if n := s.left(); n != 0 {
			t.Errorf("%d events are left 6 s after they were delivered", n)
		}
	})
}

// TestEdgeStoreStaysWithinItsLimit: under load that is as fast as this machine
// makes it, a store with a limit stays within 1.2 times that on the disk, and
// says nothing untrue.
func TestEdgeStoreStaysWithinItsLimit(t *testing.T) {
	edges.Need(t)
	const limit, bodySize = 60 << 20, 8000
	enough := int64(2 * limit / bodySize) // events that fill the store twice
	if edges.Long() {
		enough *= 3
	}
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		_ = retention.New(retention.Config{Store: s, Limits: retention.Limits{MaxBytes: limit}, Log: slog.New(slog.NewTextHandler(&log, nil))}).Run(ctx)
	})
	var accepted atomic.Int64
	waiting := make(chan struct{}, 1000) // what waits may not go: it is not what this is about
	for range 16 {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case waiting <- struct{}{}:
				}
				e := &delivery.Event{Key: rand.Text(), ReceivedAt: time.Now(), PayloadLen: -1, Body: make([]byte, bodySize)}
				if _, err := s.Accept(ctx, e, []string{"plugin:a"}); err == nil {
					accepted.Add(1)
				} else {
					<-waiting
				}
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			tasks, _ := s.Claim(ctx, "plugin:a", time.Now(), 256)
			var results sync.WaitGroup
			for _, task := range tasks {
				results.Go(func() {
					now := time.Now()
					if err := s.Finish(ctx, delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: "plugin:a", N: 1, StartedAt: now, FinishedAt: now, Outcome: delivery.OutcomeDone}, delivery.Done, time.Time{}); err == nil {
						<-waiting
					}
				})
			}
			results.Wait()
		}
	})
	var most int64
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for accepted.Load() < enough && ctx.Err() == nil {
		var size int64
		for _, name := range []string{"events.db", "events.db-wal"} {
			if fi, err := os.Stat(filepath.Join(dir, name)); err == nil {
				size += fi.Size()
			}
		}
		most = max(most, size)
		<-look.C
	}
	late := ctx.Err() != nil
	cancel()
	all.Wait()
	t.Logf("%d events; at most %d bytes, %.2f of the limit", accepted.Load(), most, float64(most)/limit)
	if late {
		t.Errorf("%d of %d events within 5 minutes", accepted.Load(), enough)
	}
	if most > limit*12/10 {
		t.Errorf("the store had %d bytes, %.2f of the limit", most, float64(most)/limit)
	}
	if strings.Contains(log.String(), "store-too-large") {
		t.Errorf("log:\n%s", log.String())
	}
}
