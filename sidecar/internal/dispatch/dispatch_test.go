package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// The tests run against a real store, in a synctest bubble: waits of minutes
// take no time and are exact.

const name = "plugin:test"

// target is a Target made of functions.
type target struct {
	name     string
	patterns atomic.Pointer[[]string]
	deliver  func(ctx context.Context, t delivery.Task) (delivery.Attempt, error)
	drained  chan struct{} // closed by Drain
}

func newTarget(name string, deliver func(context.Context, delivery.Task) (delivery.Attempt, error)) *target {
	t := &target{name: name, deliver: deliver, drained: make(chan struct{})}
	t.know("*")
	return t
}

func (t *target) know(patterns ...string) { t.patterns.Store(&patterns) }
func (t *target) Name() string            { return t.name }
func (t *target) Patterns() []string      { return *t.patterns.Load() }
func (t *target) Drain()                  { close(t.drained) }

func (t *target) Deliver(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
	return t.deliver(ctx, task)
}

// done is a target that delivers everything.
func done(context.Context, delivery.Task) (delivery.Attempt, error) {
	return delivery.Attempt{Outcome: delivery.OutcomeDone, RequestURL: "plugin://test"}, nil
}

// outcome is a target that ends every attempt like this.
func outcome(o delivery.Outcome, after time.Duration) func(context.Context, delivery.Task) (delivery.Attempt, error) {
	return func(context.Context, delivery.Task) (delivery.Attempt, error) {
		return delivery.Attempt{Outcome: o, RetryAfter: after, Error: "no", ErrorCodes: []int{75500}}, nil
	}
}

// bench is a running dispatcher and what it has reported.
type bench struct {
	t     *testing.T
	store store.Store
	d     *dispatch.Dispatcher
	stop  context.CancelFunc
	ended chan error

	mu      sync.Mutex
	reports []report // guarded by mu
}

type report struct {
	event  string
	n      int
	state  delivery.State
	after  time.Duration // since the start of the bench
	nextIn time.Duration
}

// start runs a dispatcher over s until the bubble ends. Config.Store and
// OnAttempt are filled in.
func start(t *testing.T, s store.Store, cfg dispatch.Config) *bench {
	t.Helper()
	b := &bench{t: t, store: s, ended: make(chan error, 1)}
	began := time.Now()
	cfg.Store = s
	cfg.OnAttempt = func(task delivery.Task, a delivery.Attempt, state delivery.State, nextAt time.Time) {
		b.mu.Lock()
		defer b.mu.Unlock()
		r := report{event: task.Event.ID, n: a.N, state: state, after: time.Since(began)}
		if state == delivery.Pending {
			r.nextIn = time.Until(nextAt)
		}
		b.reports = append(b.reports, r)
	}
	var err error
	if b.d, err = dispatch.New(cfg); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	go func() { b.ended <- b.d.Run(ctx) }()
	return b
}

func (b *bench) got() []report {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]report(nil), b.reports...)
}

// end stops the dispatcher and returns what Run returned.
func (b *bench) end() error {
	b.stop()
	return <-b.ended
}

// accept stores an event for each id and wakes its targets.
func (b *bench) accept(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		e := &delivery.Event{Key: id, ID: id, Type: "message.sent", ReceivedAt: time.Now(), PayloadLen: -1}
		targets := b.d.Route(e.Type)
		if _, err := b.store.Accept(context.Background(), e, targets); err != nil {
			b.t.Fatal(err)
		}
		b.d.Wake(targets)
	}
}

func openStore(t *testing.T, dir string) *sqlite.DB {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func job(t *testing.T, s store.Store, id string) (delivery.Job, []delivery.Attempt) {
	t.Helper()
	d, err := s.Delivery(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d.Jobs[0], d.Attempts
}

// bubble runs a test in a synctest bubble with a store in it.
func bubble(t *testing.T, f func(t *testing.T, s *sqlite.DB)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		defer s.Close()
		f(t, s)
	})
}

func TestDelivers(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{newTarget(name, done)}})
		b.accept("a", "b")
		if got := b.got(); len(got) != 2 || got[0].state != delivery.Done || got[0].after > time.Second {
			t.Errorf("reports: %+v", got)
		}
		j, attempts := job(t, s, "a")
		if j.State != delivery.Done || len(attempts) != 1 || attempts[0].N != 1 || attempts[0].Target != name ||
			attempts[0].StartedAt.IsZero() || attempts[0].FinishedAt.IsZero() {
			t.Errorf("job %+v, attempts %+v", j, attempts)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestRetries(t *testing.T) {
	schedule := delivery.Schedule{10 * time.Second, time.Minute}
	for _, tt := range []struct {
		name     string
		deliver  func(context.Context, delivery.Task) (delivery.Attempt, error)
		schedule delivery.Schedule
		states   []delivery.State
		waits    [][2]time.Duration // least and most
		message  string
	}{
		{"a retry follows the schedule, jittered, and then is a dead letter",
			outcome(delivery.OutcomeRetry, 0), schedule,
			[]delivery.State{delivery.Pending, delivery.Pending, delivery.Dead},
			[][2]time.Duration{{5 * time.Second, 15 * time.Second}, {30 * time.Second, 90 * time.Second}}, "no"},
		{"a target's wish to wait is granted",
			outcome(delivery.OutcomeRetry, time.Hour), schedule,
			[]delivery.State{delivery.Pending, delivery.Pending, delivery.Dead},
			[][2]time.Duration{{time.Hour, time.Hour}, {time.Hour, time.Hour}}, "no"},
		{"dead ends it at once", outcome(delivery.OutcomeFailed, 0), schedule, []delivery.State{delivery.Dead}, nil, "no"},
		{"without a schedule there is one attempt", outcome(delivery.OutcomeRetry, 0), nil, []delivery.State{delivery.Dead}, nil, "no"},
		{"a panic is a retry", func(context.Context, delivery.Task) (delivery.Attempt, error) { panic("oops") }, schedule[:1],
			[]delivery.State{delivery.Pending, delivery.Dead}, [][2]time.Duration{{5 * time.Second, 15 * time.Second}}, "target panicked: oops"},
		{"an error while the context lasts is a retry", func(context.Context, delivery.Task) (delivery.Attempt, error) {
			return delivery.Attempt{}, errors.New("not my fault")
		}, schedule[:1],
			[]delivery.State{delivery.Pending, delivery.Dead}, [][2]time.Duration{{5 * time.Second, 15 * time.Second}}, "not my fault"},
		{"an outcome that does not exist is a retry", outcome("perhaps", 0), nil, []delivery.State{delivery.Dead}, nil, "no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *sqlite.DB) {
				b := start(t, s, dispatch.Config{Targets: []dispatch.Target{newTarget(name, tt.deliver)}, Schedule: tt.schedule})
				b.accept("a")
				time.Sleep(24 * time.Hour)
				got := b.got()
				if len(got) != len(tt.states) {
					t.Fatalf("%d attempts were made, want %d: %+v", len(got), len(tt.states), got)
				}
				for i, r := range got {
					if r.n != i+1 || r.state != tt.states[i] {
						t.Errorf("attempt %d: %+v, want state %s", i+1, r, tt.states[i])
					}
					if i > 0 {
						wait := r.after - got[i-1].after
						if wait < tt.waits[i-1][0] || wait > tt.waits[i-1][1]+time.Second || wait+time.Microsecond < got[i-1].nextIn {
							t.Errorf("attempt %d came after %v, want %v; it was announced for %v", i+1, wait, tt.waits[i-1], got[i-1].nextIn)
						}
					}
				}
				_, attempts := job(t, s, "a")
				if a := attempts[0]; a.Error != tt.message || len(a.ErrorCodes) != 1 || a.Outcome == "perhaps" {
					t.Errorf("attempt %+v, want error %q", a, tt.message)
				}
				if err := b.end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestConcurrencyIsBoundedByTarget(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		const slots, events = 3, 20
		var now, most, calls atomic.Int32
		slow := newTarget("plugin:slow", func(context.Context, delivery.Task) (delivery.Attempt, error) {
			calls.Add(1)
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Minute)
			now.Add(-1)
			return delivery.Attempt{Outcome: delivery.OutcomeDone}, nil
		})
		var quick atomic.Int32
		fast := newTarget("plugin:fast", func(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
			quick.Add(1)
			return done(ctx, task)
		})
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{slow, fast}, Concurrency: slots})
		for i := range events {
			b.accept(fmt.Sprint(i))
		}
		synctest.Wait()
		if quick.Load() != events {
			t.Errorf("the slow target held up the fast one: %d of %d", quick.Load(), events)
		}
		if calls.Load() != slots {
			t.Errorf("%d attempts are in flight, want %d", calls.Load(), slots)
		}
		// A job that waits for a slot is not held: it can still be claimed.
		if tasks, err := s.Claim(context.Background(), "plugin:slow", time.Now(), events); err != nil || len(tasks) != events-slots {
			t.Errorf("%d jobs are unclaimed, error %v; want %d", len(tasks), err, events-slots)
		} else {
			for _, task := range tasks {
				s.Release(context.Background(), task)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if calls.Load() != events || most.Load() != slots {
			t.Errorf("%d of %d attempts, at most %d at a time, want %d", calls.Load(), events, most.Load(), slots)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestStopDoesNotWaitForATargetThatIsDown: attempts that wait for the target
// to come up end untried when the dispatcher drains, those under way go on.
func TestStopDoesNotWaitForATargetThatIsDown(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		down := newTarget("plugin:down", nil)
		down.deliver = func(ctx context.Context, _ delivery.Task) (delivery.Attempt, error) {
			select {
			case <-down.drained:
				return delivery.Attempt{}, errors.New("not sent")
			case <-ctx.Done():
				return delivery.Attempt{}, ctx.Err()
			}
		}
		busy := newTarget("plugin:busy", func(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
			time.Sleep(3 * time.Second)
			return done(ctx, task)
		})
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{down, busy}, DrainTimeout: time.Minute})
		b.accept("a")
		synctest.Wait()
		begun := time.Now()
		if err := b.end(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("stopping took %v, want the 3 s of the attempt under way", took)
		}
		d, err := s.Delivery(context.Background(), "a")
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range d.Jobs {
			want := delivery.Job{State: delivery.Pending}
			if j.Target == "plugin:busy" {
				want = delivery.Job{State: delivery.Done, Attempts: 1}
			}
			if j.State != want.State || j.Attempts != want.Attempts {
				t.Errorf("%s is %s after %d attempts, want %s after %d", j.Target, j.State, j.Attempts, want.State, want.Attempts)
			}
		}
	})
}

func TestNew(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	for _, tt := range []struct {
		name string
		cfg  dispatch.Config
		want string
	}{
		{"no store", dispatch.Config{}, "set Config.Store"},
		{"a name twice", dispatch.Config{Store: s, Targets: []dispatch.Target{newTarget("a", done), newTarget("a", done)}}, `"a"`},
		{"no name", dispatch.Config{Store: s, Targets: []dispatch.Target{newTarget("", done)}}, "name"},
		{"a negative wait", dispatch.Config{Store: s, Schedule: delivery.Schedule{-time.Second}}, "-1s"},
		{"negative concurrency", dispatch.Config{Store: s, Concurrency: -1}, "-1"},
	} {
		if _, err := dispatch.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want %q in it", tt.name, err, tt.want)
		}
	}
	s.Close()
	if _, err := dispatch.New(dispatch.Config{Store: s}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a closed store: %v", err)
	}
}

func TestRoutes(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		ctx := context.Background()
		all := newTarget("forward:default", done)
		late := newTarget("plugin:late", done)
		late.know()
		cfg := dispatch.Config{Store: s, Targets: []dispatch.Target{late, all}}
		route := func(d *dispatch.Dispatcher, eventType string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, d.Route(eventType)); diff != "" {
				t.Errorf("route of %q (-want +got):\n%s", eventType, diff)
			}
		}
		d, err := dispatch.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		route(d, "message.sent", "forward:default")
		late.know("message.*")
		route(d, "message.sent", "plugin:late", "forward:default")
		route(d, "call.hangup", "forward:default")
		route(d, "", "forward:default")
		if err := d.Remember(ctx, "plugin:late", late.Patterns()); err != nil {
			t.Fatal(err)
		}
		if err := d.Remember(ctx, "plugin:unknown", []string{"*"}); err == nil {
			t.Error("a target that is not configured was remembered")
		}

		late.know() // as after a restart, before the plugin has described itself
		for range 2 {
			route(d, "message.sent", "plugin:late", "forward:default")
			if err := d.Remember(ctx, "plugin:late", nil); err != nil {
				t.Error(err)
			}
			if d, err = dispatch.New(cfg); err != nil {
				t.Fatal(err)
			}
		}
		late.know("call.*") // what it says now counts
		route(d, "message.sent", "forward:default")
	})
}

func TestRunRemembersAndReportsOrphans(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		for i := range 3 {
			e := &delivery.Event{Key: fmt.Sprint(i), PayloadLen: -1}
			if _, err := s.Accept(context.Background(), e, []string{"plugin:gone"}); err != nil {
				t.Fatal(err)
			}
		}
		var log strings.Builder
		b := start(t, s, dispatch.Config{
			Targets: []dispatch.Target{newTarget(name, done)},
			Log:     slog.New(slog.NewTextHandler(&log, nil)),
		})
		synctest.Wait()
		if err := b.end(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "jobs=map[plugin:gone:3]") || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("log: %s", log.String())
		}
		if backlog, err := s.Backlog(context.Background()); err != nil || backlog["plugin:gone"] != 3 {
			t.Errorf("backlog %v, error %v", backlog, err)
		}
		if routes, err := s.Routes(context.Background()); err != nil || len(routes) != 1 || routes[0].Target != name {
			t.Errorf("routes %v, error %v", routes, err)
		}
	})
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))
