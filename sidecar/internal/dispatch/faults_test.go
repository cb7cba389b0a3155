package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

var errDisk = errors.New("disk on fire")

// faulty is a real store some of whose calls fail.
type faulty struct {
	store.Store
	claims, finishes atomic.Int32 // how many further calls fail
	landed           bool         // the failing Finish does its work all the same
}

func (f *faulty) Claim(ctx context.Context, target string, now time.Time, limit int) ([]delivery.Task, error) {
	if f.claims.Add(-1) >= 0 {
		return nil, errDisk
	}
	return f.Store.Claim(ctx, target, now, limit)
}

func (f *faulty) Finish(ctx context.Context, a delivery.Attempt, state delivery.State, nextAt time.Time) error {
	if f.finishes.Add(-1) >= 0 {
		if f.landed {
			if err := f.Store.Finish(ctx, a, state, nextAt); err != nil {
				return err
			}
		}
		return errDisk
	}
	return f.Store.Finish(ctx, a, state, nextAt)
}

func TestResultsAreRecordedDespiteStoreErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		landed bool
	}{
		{"lost", false},
		{"landed but reported lost", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *sqlite.DB) {
				var calls atomic.Int32
				tg := newTarget(name, func(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
					calls.Add(1)
					return done(ctx, task)
				})
				f := &faulty{Store: s, landed: tt.landed}
				f.finishes.Store(8)
				b := start(t, f, dispatch.Config{Targets: []dispatch.Target{tg}, Log: discard})
				b.accept("a")
				time.Sleep(time.Minute)
				if got := b.got(); len(got) != 1 || got[0].state != delivery.Done || calls.Load() != 1 {
					t.Errorf("%d calls, reports %+v", calls.Load(), got)
				}
				if j, attempts := job(t, s, "a"); j.State != delivery.Done || len(attempts) != 1 {
					t.Errorf("job %+v, attempts %+v", j, attempts)
				}
				if err := b.end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAResultThatCannotBeRecordedIsNotSilent(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		f := &faulty{Store: s}
		f.finishes.Store(1e6)
		b := start(t, f, dispatch.Config{Targets: []dispatch.Target{newTarget(name, done)}})
		b.accept("a")
		synctest.Wait()
		began := time.Now()
		if err := b.end(); err == nil || !strings.Contains(err.Error(), "1 attempts could not be recorded") {
			t.Errorf("run returned %v", err)
		}
		if took := time.Since(began); took > 26*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if len(b.got()) > 0 {
			t.Errorf("reported although not recorded: %+v", b.got())
		}
		s.Close()

		s = openStore(t, dir) // the event is delivered again: at least once
		defer s.Close()
		b = start(t, s, dispatch.Config{Targets: []dispatch.Target{newTarget(name, done)}})
		if got := b.got(); len(got) != 1 || got[0].n != 1 || got[0].state != delivery.Done {
			t.Errorf("after the next start: %+v", got)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestClaimingGoesOnAfterStoreErrors(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		f := &faulty{Store: s}
		f.claims.Store(10)
		b := start(t, f, dispatch.Config{Targets: []dispatch.Target{newTarget(name, done)}})
		b.accept("a")
		time.Sleep(time.Minute)
		if got := b.got(); len(got) != 1 || f.claims.Load() >= 0 {
			t.Errorf("reports %+v", got)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// A wake that was lost, or work that another means made due, waits a minute at
// the most.
func TestWorkIsFoundWithoutAWake(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{newTarget(name, done)}})
		synctest.Wait()
		e := &delivery.Event{Key: "a", ID: "a", PayloadLen: -1}
		if _, err := s.Accept(context.Background(), e, []string{name}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		if got := b.got(); len(got) != 1 {
			t.Errorf("reports %+v", got)
		}
		b.d.Wake([]string{"plugin:unknown"})
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestDrain(t *testing.T) {
	const drain = 10 * time.Second
	for _, tt := range []struct {
		name     string
		deliver  func(ctx context.Context, t delivery.Task) (delivery.Attempt, error)
		took     time.Duration
		state    delivery.State
		attempts int
	}{
		{"an attempt that ends in time is recorded", func(ctx context.Context, _ delivery.Task) (delivery.Attempt, error) {
			select {
			case <-ctx.Done():
				return delivery.Attempt{}, ctx.Err()
			case <-time.After(5 * time.Second):
				return delivery.Attempt{Outcome: delivery.OutcomeDone}, nil
			}
		}, 4 * time.Second, delivery.Done, 1},

		{"one that was sent and is cancelled is recorded as a retry", func(ctx context.Context, _ delivery.Task) (delivery.Attempt, error) {
			<-ctx.Done()
			return delivery.Attempt{Outcome: delivery.OutcomeRetry, Error: "stopping"}, nil
		}, drain, delivery.Pending, 1},

		{"one that was not sent is released untried", func(ctx context.Context, _ delivery.Task) (delivery.Attempt, error) {
			<-ctx.Done()
			return delivery.Attempt{}, ctx.Err()
		}, drain, delivery.Pending, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *sqlite.DB) {
				b := start(t, s, dispatch.Config{
					Targets: []dispatch.Target{newTarget(name, tt.deliver)}, Concurrency: 1,
					Schedule: delivery.Schedule{time.Hour}, DrainTimeout: drain,
				})
				b.accept("in flight", "waiting")
				time.Sleep(time.Second)
				began := time.Now()
				if err := b.end(); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("draining took %v, want %v", took, tt.took)
				}
				if j, attempts := job(t, s, "in flight"); j.State != tt.state || len(attempts) != tt.attempts || j.Attempts != tt.attempts {
					t.Errorf("job %+v, attempts %+v", j, attempts)
				}
				if j, attempts := job(t, s, "waiting"); j.State != delivery.Pending || len(attempts) != 0 {
					t.Errorf("work was claimed while draining: job %+v, attempts %+v", j, attempts)
				}
				// Nothing is still claimed but by the clock.
				want := 2
				if tt.state == delivery.Done {
					want = 1
				}
				if tasks, err := s.Claim(context.Background(), name, time.Now().Add(24*time.Hour), 9); err != nil || len(tasks) != want {
					t.Errorf("%d jobs can be claimed, error %v; want %d", len(tasks), err, want)
				}
			})
		})
	}
}

func TestStoppingDoesNotWaitForATargetThatIgnoresItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		hang := make(chan struct{})
		tg := newTarget(name, func(context.Context, delivery.Task) (delivery.Attempt, error) {
			<-hang
			return delivery.Attempt{Outcome: delivery.OutcomeDone}, nil
		})
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{tg}})
		b.accept("a")
		synctest.Wait()
		began := time.Now()
		if err := b.end(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("run returned %v", err)
		}
		if took := time.Since(began); took != 26*time.Second {
			t.Errorf("stopping took %v", took)
		}
		close(hang)
		synctest.Wait()
	})
}

// A store that was restored has no use for a result: that is said, and neither
// repeated nor taken for one that is lost. The slot is free for the next event.
func TestAResultThatIsStaleIsDropped(t *testing.T) {
	for kind, failure := range map[string]error{"not found": store.ErrNotFound, "stale": store.ErrStale} {
		t.Run(kind, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *sqlite.DB) {
				var log strings.Builder
				f := &forgetful{Store: s, failure: fmt.Errorf("job 1: %w", failure)}
				b := start(t, f, dispatch.Config{
					Targets: []dispatch.Target{newTarget(name, done)}, Concurrency: 1,
					Log: slog.New(slog.NewTextHandler(&log, nil)),
				})
				b.accept("a", "b")
				time.Sleep(time.Minute)
				if got := b.got(); len(got) != 1 || got[0].event != "b" {
					t.Errorf("reports %+v, want that of b", got)
				}
				if n := f.calls.Load(); n != 2 {
					t.Errorf("%d results were recorded, want one try each", n)
				}
				if err := b.end(); err != nil {
					t.Error(err)
				}
				if n := strings.Count(log.String(), "code=result-stale"); n != 1 || strings.Contains(log.String(), "result-unrecorded") {
					t.Errorf("log: %s", log.String())
				}
			})
		})
	}
}

// forgetful is a real store that does not know the first event of a result.
type forgetful struct {
	store.Store
	failure error
	calls   atomic.Int32
}

func (f *forgetful) Finish(ctx context.Context, a delivery.Attempt, state delivery.State, nextAt time.Time) error {
	if f.calls.Add(1) == 1 {
		return f.failure
	}
	return f.Store.Finish(ctx, a, state, nextAt)
}

// A store that was restored may have forgotten which events a plugin wants.
// They are written again, until that has worked.
func TestRoutesAreWrittenAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		f := &restored{Store: s, renewed: make(chan struct{}, 1)}
		b := start(t, f, dispatch.Config{Targets: []dispatch.Target{newTarget(name, done)}, Log: discard})
		synctest.Wait()
		if n := f.saved.Load(); n != 1 {
			t.Errorf("saved %d times at the start, want once", n)
		}
		f.renewed <- struct{}{} // the store has what it had
		time.Sleep(time.Minute)
		if n := f.saved.Load(); n != 1 {
			t.Errorf("saved %d times although nothing was forgotten", n)
		}
		f.forgotten.Store(true)
		f.failing.Store(3)
		f.renewed <- struct{}{}
		time.Sleep(time.Minute)
		if n := f.saved.Load(); n != 2 {
			t.Errorf("saved %d times after the store had forgotten it, want twice", n)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// restored is a real store that forgets its routes.
type restored struct {
	store.Store
	renewed   chan struct{}
	forgotten atomic.Bool
	failing   atomic.Int32 // further SaveRoutes
	saved     atomic.Int32
}

func (f *restored) Renewed() <-chan struct{} { return f.renewed }

func (f *restored) Routes(ctx context.Context) ([]store.Route, error) {
	if f.forgotten.Load() {
		return nil, nil
	}
	return f.Store.Routes(ctx)
}

func (f *restored) SaveRoute(ctx context.Context, r store.Route) error {
	if f.failing.Add(-1) >= 0 {
		return errDisk
	}
	f.saved.Add(1)
	f.forgotten.Store(false)
	return f.Store.SaveRoute(ctx, r)
}
