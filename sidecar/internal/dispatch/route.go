package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Route returns the names of the targets that want events of this type, in the
// order of Config.Targets. For a target that does not know its patterns yet, the
// remembered ones count, so that an event which arrives while a plugin is
// starting still becomes its job.
func (d *Dispatcher) Route(eventType string) []string {
	var names []string
	for _, l := range d.all() {
		patterns := l.to().Patterns()
		if len(patterns) == 0 {
			patterns = d.remembered(l.name)
		}
		if delivery.Wanted(patterns, eventType) {
			names = append(names, l.name)
		}
	}
	return names
}

// Remember stores the patterns of a target for the time when it cannot be
// asked. It is called when they become known or change. Nothing is written if
// they are remembered already, or if there are none.
func (d *Dispatcher) Remember(ctx context.Context, target string, patterns []string) error {
	if d.loop(target) == nil {
		return fmt.Errorf("dispatch: remember patterns of %q: there is no such target", target)
	}
	if len(patterns) == 0 || slices.Equal(patterns, d.remembered(target)) {
		return nil
	}
	patterns = slices.Clone(patterns)
	if err := d.store.SaveRoute(ctx, store.Route{Target: target, Patterns: patterns}); err != nil {
		return fmt.Errorf("dispatch: remember patterns of %s: %w", target, err)
	}
	d.routesMu.Lock()
	defer d.routesMu.Unlock()
	d.routes[target] = patterns
	return nil
}

func (d *Dispatcher) remembered(target string) []string {
	d.routesMu.RLock()
	defer d.routesMu.RUnlock()
	return d.routes[target]
}

func (d *Dispatcher) loadRoutes() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	routes, err := d.store.Routes(ctx)
	if err != nil {
		return fmt.Errorf("dispatch: read remembered routes: %w", err)
	}
	d.routes = make(map[string][]string, len(routes))
	for _, r := range routes {
		d.routes[r.Target] = r.Patterns
	}
	return nil
}

// rememberAll remembers the patterns known at the start. A failure only matters
// after the next start, so it does not keep events from flowing.
func (d *Dispatcher) rememberAll(ctx context.Context) {
	for _, l := range d.all() {
		if err := d.Remember(ctx, l.name, l.to().Patterns()); err != nil && ctx.Err() == nil {
			d.log.Warn("patterns are not remembered", "code", telemetry.CodeRouteUnsaved, "target", l.name, "error", err)
		}
	}
}

// rememberAgain writes the routes again whenever the store may have forgotten
// them, until ctx ends.
func (d *Dispatcher) rememberAgain(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.store.Renewed():
		}
		for backoff := firstBackoff; ctx.Err() == nil; backoff = min(2*backoff, maxBackoff) {
			err := d.restoreRoutes(ctx)
			if err == nil {
				break
			}
			if ctx.Err() == nil {
				d.log.Warn("patterns are not remembered", "code", telemetry.CodeRouteUnsaved, "retry_in", backoff, "error", err)
			}
			endsWithin(ctx.Done(), backoff)
		}
	}
}

// restoreRoutes saves the routes of the targets here that the store lacks, or has
// with other patterns. Routes that another process has saved for a target that is
// down here are left alone.
func (d *Dispatcher) restoreRoutes(ctx context.Context) error {
	saved, err := d.store.Routes(ctx)
	if err != nil {
		return err
	}
	have := make(map[string][]string, len(saved))
	for _, r := range saved {
		have[r.Target] = r.Patterns
	}
	for _, l := range d.all() {
		patterns, known := l.to().Patterns(), have[l.name]
		if len(patterns) == 0 && len(known) == 0 {
			patterns = d.remembered(l.name)
		}
		if len(patterns) == 0 || slices.Equal(patterns, known) {
			continue
		}
		if err := d.store.SaveRoute(ctx, store.Route{Target: l.name, Patterns: patterns}); err != nil {
			return err
		}
	}
	return nil
}
