package replay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/replay"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// withEvents calls fn, in a bubble of simulated time, with a store of n events
// that nobody wanted.
func withEvents(t *testing.T, n int, fn func(t *testing.T, s *sqlite.DB)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for i := range n {
			if _, err := s.Accept(t.Context(), &delivery.Event{Key: fmt.Sprint(i), Type: "call.hangup", PayloadLen: -1}, nil); err != nil {
				t.Fatal(err)
			}
		}
		fn(t, s)
	})
}

// start runs a Runner and returns how to stop it.
func start(t *testing.T, s store.Operator, wake func([]string)) (r *replay.Runner, stop func()) {
	r = replay.New(replay.Config{Store: s, Wake: wake})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func create(t *testing.T, s store.Operator, rate float64) store.Replay {
	t.Helper()
	r := store.Replay{Targets: []string{"plugin:new"}, Rate: rate}
	if err := s.CreateReplay(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func get(t *testing.T, s store.Operator, id string) store.Replay {
	t.Helper()
	r, err := s.Replay(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplayRunsToItsEnd(t *testing.T) {
	withEvents(t, 250, func(t *testing.T, s *sqlite.DB) {
		var mu sync.Mutex
		woken := 0
		r, stop := start(t, s, func(targets []string) {
			mu.Lock()
			defer mu.Unlock()
			woken += len(targets)
		})
		defer stop()
		made := create(t, s, 0)
		r.Poke()
		time.Sleep(time.Second)
		if got := get(t, s, made.ID); got.State != store.ReplayDone || got.Queued != 250 {
			t.Errorf("replay %+v", got)
		}
		mu.Lock()
		defer mu.Unlock()
		if woken == 0 {
			t.Error("nobody was woken")
		}
	})
}

func TestReplayKeepsItsRate(t *testing.T) {
	for _, rate := range []float64{0.5, 20, 1000} {
		withEvents(t, 40, func(t *testing.T, s *sqlite.DB) {
			_, stop := start(t, s, func([]string) {})
			defer stop()
			made := create(t, s, rate)
			time.Sleep(6 * time.Second) // it is found within 5 s without a poke
			for got := get(t, s, made.ID); got.State == store.ReplayRunning; got = get(t, s, made.ID) {
				took := time.Since(made.CreatedAt).Seconds()
				if most := rate*took + rate/4 + 1; float64(got.Seen) > most {
					t.Fatalf("rate %v: %d events after %v s", rate, got.Seen, took)
				}
				time.Sleep(time.Second)
			}
			if took := time.Since(made.CreatedAt).Seconds(); took > 40/rate+8 {
				t.Errorf("rate %v: took %v s", rate, took)
			}
		})
	}
}

func TestReplayGoesOnAfterAStop(t *testing.T) {
	withEvents(t, 100, func(t *testing.T, s *sqlite.DB) {
		made := create(t, s, 10)
		for range 4 {
			_, stop := start(t, s, func([]string) {})
			time.Sleep(3 * time.Second)
			stop()
		}
		if got := get(t, s, made.ID); got.State != store.ReplayDone || got.Queued != 100 || got.Seen != 100 {
			t.Errorf("replay %+v, want each event once", got)
		}
	})
}

func TestCancelledReplayStops(t *testing.T) {
	withEvents(t, 100, func(t *testing.T, s *sqlite.DB) {
		_, stop := start(t, s, func([]string) {})
		defer stop()
		made := create(t, s, 10)
		time.Sleep(6 * time.Second)
		cancelled, err := s.CancelReplay(t.Context(), made.ID)
		if err != nil || cancelled.Seen == 0 || cancelled.Seen == 100 {
			t.Fatalf("cancelled %+v, %v", cancelled, err)
		}
		time.Sleep(time.Minute)
		if got := get(t, s, made.ID); got.Seen != cancelled.Seen {
			t.Errorf("it went on from %d to %d", cancelled.Seen, got.Seen)
		}
	})
}

// flaky is a store whose steps fail, before or after they are taken.
type flaky struct {
	store.Operator
	landed bool
	n      int
}

func (f *flaky) StepReplay(ctx context.Context, id string, limit int) (store.Replay, []string, error) {
	f.n++
	if f.n%2 == 0 {
		return f.Operator.StepReplay(ctx, id, limit)
	}
	if f.landed {
		if _, _, err := f.Operator.StepReplay(ctx, id, limit); err != nil {
			return store.Replay{}, nil, err
		}
	}
	return store.Replay{}, nil, errors.New("disk on fire")
}

func TestFailedStepsAreRepeated(t *testing.T) {
	for _, landed := range []bool{false, true} {
		withEvents(t, 350, func(t *testing.T, s *sqlite.DB) {
			_, stop := start(t, &flaky{Operator: s, landed: landed}, func([]string) {})
			defer stop()
			made := create(t, s, 0)
			time.Sleep(time.Minute)
			if got := get(t, s, made.ID); got.State != store.ReplayDone || got.Seen != 350 || got.Queued != 350 {
				t.Errorf("landed %v: replay %+v, want each event once", landed, got)
			}
		})
	}
}

// elsewhere is a store whose replays another sidecar works on.
type elsewhere struct {
	store.Operator
	n atomic.Int32
}

func (e *elsewhere) StepReplay(context.Context, string, int) (store.Replay, []string, error) {
	e.n.Add(1)
	return store.Replay{}, nil, store.ErrElsewhere
}

// TestReplayOfAnotherSidecar: it is looked at now and then, in case the other one
// ends, and that is not an error.
func TestReplayOfAnotherSidecar(t *testing.T) {
	withEvents(t, 10, func(t *testing.T, s *sqlite.DB) {
		var log bytes.Buffer
		e := &elsewhere{Operator: s}
		r := replay.New(replay.Config{Store: e, Wake: func([]string) {}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		create(t, s, 0)
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if n := e.n.Load(); n < 10 || n > 13 {
			t.Errorf("%d tries in a minute, want one each 5 s", n)
		}
		if strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}
