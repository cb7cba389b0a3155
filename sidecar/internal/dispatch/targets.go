package dispatch

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// run is the state of a running Dispatcher.
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

// Add makes t a target, also while the dispatcher runs, such as when a plugin has
// been dropped in. It fails if its name is empty or taken.
func (d *Dispatcher) Add(t Target) error {
	name := t.Name()
	d.loopsMu.Lock()
	defer d.loopsMu.Unlock()
	if name == "" || slices.ContainsFunc(d.loops, func(l *loop) bool { return l.name == name }) {
		return fmt.Errorf("dispatch: target name %q is empty or used twice: give each target a name of its own", name)
	}
	l := &loop{
		d: d, name: name,
		wake:  make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
	l.target.Store(&t)
	d.treat(l)
	d.loops = append(d.loops, l)
	if d.running != nil {
		d.running.start(l)
	}
	return nil
}

// treat applies the policy to a target. The caller holds loopsMu.
func (d *Dispatcher) treat(l *loop) {
	l.policy.Store(&delivery.Policy{Schedule: d.cfg.Schedule, MaxAge: d.cfg.MaxAge})
	l.breaker.setSlots(d.cfg.Concurrency)
}

// Replace replaces the target of t's name, also while the dispatcher runs.
// Attempts under way end with the old target, which is not drained; the next
// ones are made at t, as if it had always been available.
func (d *Dispatcher) Replace(t Target) error {
	l := d.loop(t.Name())
	if l == nil {
		return fmt.Errorf("dispatch: there is no target %q to replace", t.Name())
	}
	l.target.Store(&t)
	l.breaker.reset()
	l.poke()
	return nil
}

// SetPolicy changes the policy for all targets, also while the dispatcher runs;
// a zero Concurrency means 16. Waiting jobs keep their times.
func (d *Dispatcher) SetPolicy(p Policy) {
	if p.Concurrency <= 0 {
		p.Concurrency = defaultConcurrency
	}
	d.loopsMu.Lock()
	defer d.loopsMu.Unlock()
	d.cfg.Schedule, d.cfg.MaxAge, d.cfg.Concurrency = p.Schedule, p.MaxAge, p.Concurrency
	for _, l := range d.loops {
		d.treat(l)
		l.poke()
	}
}

// Remove removes a target and waits until its attempts under way have ended or
// ctx has. Its jobs stay in the store, and its patterns are remembered: they wait
// for a target of that name. An unknown name is not an error.
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
	// In this order: nothing more is claimed, and claimed jobs that wait for
	// the target are released.
	l.leaving.Store(true)
	l.stop()
	l.to().Drain()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("dispatch: remove %s: its attempts have not ended: %w", name, ctx.Err())
	}
}

// all returns the current loops. The caller does not modify them.
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
