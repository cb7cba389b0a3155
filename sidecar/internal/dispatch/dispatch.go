// Package dispatch moves events from the store to their targets: it claims the
// jobs that are due, has their targets attempt them, and records the results.
//
// Start with [New]; [Dispatcher.Route] returns the targets that want an event
// being accepted, and [Dispatcher.Run] does the work. A target is declared here
// as [Target] and implemented elsewhere.
//
// Delivery is at least once: a result that could not be recorded before the
// end of the process makes its job run again after the next start.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/clock"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Target is a destination of events. All methods may be called concurrently.
type Target interface {
	// Name returns "plugin:NAME" or "forward:NAME". It never changes.
	Name() string

	// Patterns returns the event types that the target wants: exact,
	// "message.*" or "*". It is called for every event, so it must be quick.
	// It returns none while they are unknown, such as before a plugin has
	// first described itself; then the remembered ones are used. The caller
	// does not modify the result.
	Patterns() []string

	// Deliver makes one attempt at a job: attempt number
	// t.Job.Attempts+1. It may block until the target can take it, such as
	// for a plugin's credit, and itself limits how long the attempt may then
	// take: ctx has no deadline, because only the target knows when the
	// attempt really starts.
	//
	// It fills in all of the Attempt except JobID, DeliveryID, Target and N. It
	// returns an error only if, before anything was sent, ctx ended, Drain
	// was called, or the target ceased to be ready (delivery.ErrNotReady):
	// then no attempt was made and the job is released untried. If ctx ends
	// later the attempt may have been handled, and is reported as a retry.
	Deliver(ctx context.Context, t delivery.Task) (delivery.Attempt, error)

	// Drain is called when the dispatcher begins to stop. From then on
	// Deliver no longer waits for the target to be able to take something:
	// a stop must not wait for a plugin that is down. Attempts under way
	// continue.
	Drain()
}

// Intermittent is a Target that reports when it cannot take anything, like a
// plugin that is down. Then nothing is claimed for it: other sidecars, whose
// plugin may be up, could not deliver what this one has claimed.
type Intermittent interface {
	Target

	// Ready reports whether the target can take something now. changed is
	// closed when it is worth asking again, at the latest when the answer
	// turns to yes.
	//
	// Jobs claimed before the target ceased to be ready are in Deliver, which
	// may hold them for a moment and then returns [delivery.ErrNotReady]. A
	// target that is ready does not return that at once: it would get the
	// same job again.
	Ready() (ok bool, changed <-chan struct{})
}

// Reachable is a Target that can be asked whether it is there without giving it an
// event. Few events that wait for long would find that out late, and each that tries
// uses up its schedule.
type Reachable interface {
	Target

	// Reach returns nil if the target takes connections. It returns soon after
	// ctx ends.
	Reach(ctx context.Context) error
}

// Store is the part of a [store.Store] through which jobs pass.
type Store interface {
	Claim(ctx context.Context, target string, now time.Time, limit int) ([]delivery.Task, error)
	NextDue(ctx context.Context, target string) (time.Time, bool, error)
	Reschedule(ctx context.Context, target string, now time.Time, s delivery.Schedule) (int, error)
	Hurry(ctx context.Context, q store.Query, now time.Time, limit int) (moved int, targets []string, err error)
	Finish(ctx context.Context, a delivery.Attempt, state delivery.State, nextAt time.Time) error
	Release(ctx context.Context, t delivery.Task) error
	SaveRoute(ctx context.Context, r store.Route) error
	Routes(ctx context.Context) ([]store.Route, error)
	Backlog(ctx context.Context) (map[string]int, error)
	Watch(ctx context.Context, wake func(targets []string)) error
	Renewed() <-chan struct{}
}

// Config configures a Dispatcher. Store is required.
type Config struct {
	Store   Store
	Targets []Target // with distinct names

	// Schedule holds the waits between the attempts at a job. An empty one
	// allows a single attempt.
	Schedule delivery.Schedule

	// MaxAge bounds how long a job is tried, see delivery.Policy. 0 means as
	// long as the Schedule goes.
	MaxAge time.Duration

	// Concurrency is how many attempts at each target may be in flight, and
	// so how many events are held in memory for it. 0 means 16.
	Concurrency int

	// DrainTimeout is how long attempts in flight may continue after Run is
	// told to stop, before they are cancelled. 0 means 20 seconds.
	DrainTimeout time.Duration

	Clock  *clock.Clock      // nil is the system's
	Jitter func() float64    // nil is delivery.Jitter
	Log    *slog.Logger      // nil discards
	Tracer *telemetry.Tracer // nil: nothing is traced

	// OnAttempt, if not nil, is called after each attempt is recorded, with
	// the new state of its job and, if that is Pending, when the job is due
	// again. It is called concurrently and holds up a slot of its target
	// until it returns.
	OnAttempt func(t delivery.Task, a delivery.Attempt, state delivery.State, nextAt time.Time)
}

// Policy is the part of [Config] that can be changed later.
type Policy struct {
	Schedule    delivery.Schedule
	MaxAge      time.Duration
	Concurrency int
}

// Dispatcher carries jobs to targets. Its methods are safe for concurrent use.
type Dispatcher struct {
	store     Store
	cfg       Config // Schedule, MaxAge and Concurrency are guarded by loopsMu
	drain     time.Duration
	log       *slog.Logger
	began     time.Time
	clock     *clock.Clock
	onAttempt func(delivery.Task, delivery.Attempt, delivery.State, time.Time)

	loopsMu sync.RWMutex
	loops   []*loop // guarded by loopsMu: one for each target, in the order of Config.Targets and Add
	running *run    // guarded by loopsMu: nil unless Run is

	routesMu sync.RWMutex
	routes   map[string][]string // guarded by routesMu: target → remembered patterns

	draining   atomic.Bool  // Run was told to stop
	unrecorded atomic.Int64 // results that never reached the store
	trouble    trouble      // results that have not reached it yet
}

const defaultConcurrency = 16

// After the attempts were cancelled their results get resultTimeout to be
// recorded, and then every goroutine abandonTimeout to end. Both are short
// since a supervisor may kill the process at any time.
const (
	resultTimeout  = 5 * time.Second
	abandonTimeout = time.Second
)

// New returns a Dispatcher. It reads the remembered routes from the store, so
// that Route is right from the first event on.
func New(cfg Config) (*Dispatcher, error) {
	if cfg.Store == nil {
		return nil, errors.New("dispatch: no store: set Config.Store")
	}
	if cfg.Concurrency < 0 || cfg.DrainTimeout < 0 {
		return nil, fmt.Errorf("dispatch: Concurrency %d and DrainTimeout %v must not be negative: leave them 0 for the defaults", cfg.Concurrency, cfg.DrainTimeout)
	}
	for _, wait := range cfg.Schedule {
		if wait < 0 {
			return nil, fmt.Errorf("dispatch: the schedule has a negative wait %v: give the waits between attempts, such as 5s, 1m, 10m", wait)
		}
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = defaultConcurrency
	}
	d := &Dispatcher{
		store:     cfg.Store,
		cfg:       cfg,
		drain:     cfg.DrainTimeout,
		log:       cfg.Log,
		began:     time.Now(),
		clock:     cfg.Clock,
		onAttempt: cfg.OnAttempt,
	}
	if d.drain == 0 {
		d.drain = 20 * time.Second
	}
	if d.clock == nil {
		d.clock = clock.New(nil)
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.cfg.Jitter == nil {
		d.cfg.Jitter = delivery.Jitter
	}
	d.trouble.log = d.log
	for _, t := range cfg.Targets {
		if err := d.Add(t); err != nil {
			return nil, err
		}
	}
	if err := d.loadRoutes(); err != nil {
		return nil, err
	}
	return d, nil
}

// Wake makes the targets look for due work now. It is called after an event
// was accepted for them, and does not block. Unknown names are ignored.
func (d *Dispatcher) Wake(targets []string) {
	for _, name := range targets {
		if l := d.loop(name); l != nil {
			l.poke()
		}
	}
}

// Run carries jobs until ctx ends, and then drains: nothing new is claimed,
// attempts in flight continue for up to Config.DrainTimeout, are then cancelled,
// and their results are recorded. It returns nil if all results were recorded.
// It may be called once.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.reportOrphans(ctx)
	d.rememberAll(ctx)

	// These two outlive ctx, one after the other.
	attempts, cancelAttempts := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelAttempts()
	results, cancelResults := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelResults()

	r := &run{ctx: ctx, attempts: attempts, results: results}
	r.wg.Go(func() {
		if err := d.store.Watch(ctx, d.Wake); err != nil && ctx.Err() == nil {
			d.log.Warn("the store does not report work added by others: it is found within a minute", "code", telemetry.CodeWatchFailed, "error", err)
		}
	})
	r.wg.Go(func() { d.rememberAgain(ctx) })
	r.wg.Go(func() { d.watchClock(ctx) })
	d.loopsMu.Lock()
	d.running = r
	for _, l := range d.loops {
		r.start(l)
	}
	d.loopsMu.Unlock()

	<-ctx.Done()
	d.draining.Store(true)
	d.loopsMu.Lock()
	d.running = nil
	d.loopsMu.Unlock()
	done := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(done)
	}()
	for _, l := range d.all() {
		l.to().Drain()
	}
	ended := endsWithin(done, d.drain)
	if !ended {
		cancelAttempts()
		ended = endsWithin(done, resultTimeout)
	}
	if !ended {
		cancelResults()
		ended = endsWithin(done, abandonTimeout)
	}
	if !ended {
		return fmt.Errorf("dispatch: targets did not return from cancelled attempts: %v: their events will be delivered again after the next start", d.busy())
	}
	if n := d.unrecorded.Load(); n > 0 {
		return fmt.Errorf("dispatch: the results of %d attempts could not be recorded: their events will be delivered again after the next start", n)
	}
	return nil
}

func endsWithin(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

func (d *Dispatcher) busy() (names []string) {
	for _, l := range d.all() {
		if l.inFlight.Load() > 0 {
			names = append(names, l.name)
		}
	}
	return names
}

// reportOrphans warns of jobs whose target is not, or no longer, configured.
// They stay in the store: the target may come back.
func (d *Dispatcher) reportOrphans(ctx context.Context) {
	backlog, err := d.store.Backlog(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.log.Warn("cannot look for jobs without a target", "code", telemetry.CodeBacklogUncounted, "error", err)
		return
	}
	orphans := make(map[string]int)
	for name, n := range backlog {
		if d.loop(name) == nil {
			orphans[name] = n
		}
	}
	if len(orphans) > 0 {
		d.log.Warn("jobs wait for targets that are not configured: configure the target again to have them delivered", "code", telemetry.CodeTargetMissing, "jobs", orphans)
	}
}
