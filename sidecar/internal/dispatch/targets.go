package dispatch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// run is what a Dispatcher has while it runs.
type run struct {
	ctx, attempts, results context.Context
	wg                     sync.WaitGroup
}

func (r *run) start(l *loop) {
	ctx, cancel := context.WithCancel(r.ctx)
	l.stop = cancel
	r.wg.Go(func() {
		defer close(l.ended)
		defer cancel()
		l.run(ctx, r.attempts, r.results)
	})
}

// Add makes t a target, also while the dispatcher runs: one whose plugin has
// been dropped in. It fails if its name is empty or taken.
func (d *Dispatcher) Add(t Target) error {
	name := t.Name()
	d.loopsMu.Lock()
	defer d.loopsMu.Unlock()
	if name == "" || slices.ContainsFunc(d.loops, func(l *loop) bool { return l.name == name }) {
		return fmt.Errorf("dispatch: target name %q is empty or used twice: give each target a name of its own", name)
	}
	l := &loop{
		d: d, target: t, name: name,
		policy: store.Policy{Schedule: d.cfg.Schedule, MaxAge: d.cfg.MaxAge},
		slots:  d.cfg.Concurrency,
		wake:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
	}
	if p, ok := d.cfg.Policies[name]; ok {
		if p.Schedule != nil {
			l.policy.Schedule = p.Schedule
		}
		if p.MaxAge > 0 {
			l.policy.MaxAge = p.MaxAge
		}
		if p.Concurrency > 0 {
			l.slots = p.Concurrency
		}
	}
	l.breaker = breaker{slots: l.slots}
	d.loops = append(d.loops, l)
	if d.running != nil {
		d.running.start(l)
	}
	return nil
}

// Remove takes a target away and waits until its attempts under way have ended
// or ctx has. Its jobs stay in the store, and its patterns are remembered: they
// wait for a target of that name. A name that is not there is no error.
func (d *Dispatcher) Remove(ctx context.Context, name string) error {
	d.loopsMu.Lock()
	i := slices.IndexFunc(d.loops, func(l *loop) bool { return l.name == name })
	if i < 0 {
		d.loopsMu.Unlock()
		return nil
	}
	l := d.loops[i]
	d.loops = slices.Delete(slices.Clone(d.loops), i, i+1)
	d.loopsMu.Unlock()
	if l.stop == nil {
		return nil // it never ran
	}
	l.target.Drain()
	l.stop()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("dispatch: remove %s: its attempts go on: %w", name, ctx.Err())
	}
}

// all returns the loops at this moment. The caller does not modify them.
func (d *Dispatcher) all() []*loop {
	d.loopsMu.RLock()
	defer d.loopsMu.RUnlock()
	return d.loops
}

func (d *Dispatcher) loop(target string) *loop {
	for _, l := range d.all() {
		if l.name == target {
			return l
		}
	}
	return nil
}

// TargetStatus is what a target is doing.
type TargetStatus struct {
	Name     string
	InFlight int // attempts
	Slots    int // attempts that may be in flight at this moment

	// While a target is unavailable it gets one attempt at a time.
	UnavailableSince time.Time // zero while it is available
	NextProbe        time.Time
	LastError        string // of the latest failure, empty after a success
}

// Status returns what each target is doing.
func (d *Dispatcher) Status() []TargetStatus {
	var list []TargetStatus
	for _, l := range d.all() {
		s := TargetStatus{Name: l.name, InFlight: int(l.inFlight.Load())}
		l.breaker.describe(&s)
		list = append(list, s)
	}
	return list
}
