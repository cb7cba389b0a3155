package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// ErrStopped is returned by Deliver when the host is stopping. The event was
// not sent.
var ErrStopped = errors.New("pluginhost: stopped")

// Plugin is one plugin of a [Host], a target for events. Ready reports whether its
// process runs at the moment; Deliver waits out a short restart. It is safe for
// concurrent use.
type Plugin struct {
	host *Host
	file catalog.Entry // as it was found first; name and path do not change
	log  *slog.Logger
	ring *logRing

	orders  *orders
	removed chan struct{} // closed by remove: it is gone from the directory
	remove  func()
	ended   chan struct{} // closed when its supervisor has ended

	suspects  suspects
	isolation isolation
	silence   silence
	meter     *meter

	claim claim   // of what runs; guarded by Host.mu
	rival *Plugin // for which it is not run; likewise

	draining chan struct{} // closed by drain: Deliver waits for no process
	drain    func()

	mu       sync.Mutex
	ready    *running      // takes events; nil while there is none
	changed  chan struct{} // closed and replaced when ready changes
	patterns []string
	status   Status
}

func newPlugin(h *Host, f catalog.Entry) *Plugin {
	p := &Plugin{
		host:     h,
		file:     f,
		ring:     newLogRing(),
		meter:    newMeter(),
		removed:  make(chan struct{}),
		ended:    make(chan struct{}),
		draining: make(chan struct{}),
		changed:  make(chan struct{}),
	}
	p.log = slog.New(ringHandler{Handler: h.cfg.Log.Handler(), ring: p.ring}).With("plugin", f.Name)
	p.drain = sync.OnceFunc(func() { close(p.draining) })
	p.remove = sync.OnceFunc(func() { close(p.removed) })
	enabled := !h.catalog.Disabled(f.Name)
	p.orders = newOrders(order{file: f, enabled: enabled})
	p.status = Status{Name: f.Name, File: f.Path, Enabled: enabled, State: StateVerifying, Since: time.Now()}
	return p
}

// Drain makes Deliver return [ErrStopped] from now on where it would wait for a
// process to be ready. Events that a process has are not affected.
func (p *Plugin) Drain() { p.drain() }

// Name returns the name of the target, such as "plugin:archive".
func (p *Plugin) Name() string { return delivery.Plugin.Target(p.file.Name) }

// Patterns returns the event types that the plugin has declared, or nil until
// it has been described for the first time.
func (p *Plugin) Patterns() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.patterns
}

// Status returns the state of the plugin and its numbers.
func (p *Plugin) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Patterns = slices.Clone(p.patterns)
	s.Suspects = p.suspects.count()
	s.Meter = p.meter.read(time.Now())
	if p.ready != nil {
		s.Credit, s.InFlight = p.ready.Link.Credit()
		s.StrayResults = p.ready.Link.Strays()
		s.DroppedLines = p.ready.DroppedLines()
	}
	return s
}

// Ready reports whether there is a process that takes events. changed is closed
// when there is another, or none.
func (p *Plugin) Ready() (ok bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A process that has just ended is still there while its end is examined.
	return p.ready != nil && !p.ready.Link.IsClosing(), p.changed
}

// Deliver sends the event of a task to the plugin and returns the record of the
// attempt. It first waits for the plugin's credit, as long as it takes, and for
// a ready process, but only for a moment. An error means that nothing was sent:
// there is no process ([delivery.ErrNotReady]), ctx has ended, or the host is
// stopping or drained ([ErrStopped]). Once the event is sent, the record has the
// result, even if ctx ends.
func (p *Plugin) Deliver(ctx context.Context, t delivery.Task) (delivery.Attempt, error) {
	timeout := p.host.cfg.Timeout
	crashes, excused := p.suspects.of(t.Event.DeliveryID, t.Job.Attempts)
	for {
		proc, err := p.acquire(ctx, crashes >= suspectAlone, excused)
		if err != nil {
			return delivery.Attempt{}, fmt.Errorf("pluginhost: deliver to %s: %w", p.Name(), err)
		}
		ended := p.host.cfg.Attempts.Begin(p.Name(), t.Event.ID, timeout+p.host.launch.Timings.Grace)
		unproven := !p.silence.proven(proc, p.host.timings.prove)
		if !unproven {
			proc.tried.Store(true)
		}
		a, how := proc.Link.Deliver(ctx, link.Request{Task: t, Plugin: p.file.Name, Traceparent: telemetry.Traceparent(ctx),
			Crashes: crashes, Timeout: timeout, Grace: p.host.launch.Timings.Grace})
		ended()
		p.isolation.leave()
		switch how {
		case link.Moved:
			continue // to the next process
		case link.Unsent:
			return delivery.Attempt{}, fmt.Errorf("pluginhost: deliver to %s: %w", p.Name(), cmp.Or(ctx.Err(), ErrStopped))
		case link.Lost:
			p.concludeLost(&a, t, proc, unproven)
		default:
			p.suspects.cleared(t.Event.DeliveryID)
		}
		p.meter.record(&a, how == link.Lost)
		return a, nil
	}
}

// concludeLost decides about an event that was lost with its process. unproven means
// that the process had not yet shown that it lives by itself when it got the event.
func (p *Plugin) concludeLost(a *delivery.Attempt, t delivery.Task, proc *running, unproven bool) {
	cause := proc.End()
	if proc.retired.Load() {
		a.Error = fmt.Sprintf("plugin was stopped before it was done with the event: %v", cause)
		return
	}
	// It may never have begun the event, or have died of another one that it
	// still had although its result was no longer awaited.
	excusable := unproven && proc.Silent() || proc.Link.Holding()
	crashes := p.suspects.crashed(t.Event.DeliveryID, t.Job.Attempts, excusable)
	if crashes < suspectDead {
		a.Error = link.Died(cause)
		return
	}
	a.RetryAfter = 0
	if proc.Remote() {
		// A broken connection is not always the event's fault, and others may use
		// the server. The schedule ends an event that does not get through.
		a.Outcome = delivery.OutcomeRetry
		a.Error = fmt.Sprintf("the connection to the plugin broke with this event %d times in a row: %v", crashes, cause)
		return
	}
	a.Outcome = delivery.OutcomeFailed
	a.Error = fmt.Sprintf("plugin_crashed: the plugin died with this event %d times in a row, the last time with nothing else to do: %v", crashes, cause)
	if p.suspects.convicted(t.Event.DeliveryID) {
		// The event caused the crashes. They must not be added to those of the
		// next one, or the others would wait for a plugin that works.
		p.orders.give(func(*order) {})
	}
	p.log.Error("the plugin died with the same event again and again: the event is now a dead letter, so that others get through",
		"code", telemetry.CodePluginPoisoned, "event_id", t.Event.ID, "event_type", t.Event.Type, "delivery_id", t.Event.DeliveryID, "crashes", crashes, "error", cause)
}

// acquire waits for a ready process that has credit, takes a place, and waits
// until the event may be with others, or alone if it is a suspect. If a crash
// was excused before, the process must first show that it lives by itself.
func (p *Plugin) acquire(ctx context.Context, suspect, excused bool) (*running, error) {
	for {
		p.mu.Lock()
		proc, changed, stopped := p.ready, p.changed, p.status.State == StateStopped
		p.mu.Unlock()
		if stopped {
			return nil, ErrStopped
		}
		if proc != nil {
			var err error
			if excused {
				err = p.silence.await(ctx, proc, p.host.timings.prove)
			}
			if err == nil {
				err = proc.Link.Acquire(ctx)
			}
			if err == nil && !p.isolation.enter(ctx, proc.Link.Closing(), suspect) {
				proc.Link.Release()
				err = cmp.Or(ctx.Err(), link.ErrMoved)
			}
			if !errors.Is(err, link.ErrMoved) {
				return proc, err
			}
		}
		if err := p.await(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// await waits for another process to be ready.
func (p *Plugin) await(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-time.After(p.host.timings.hold):
		return delivery.ErrNotReady
	case <-p.host.stopping:
		return ErrStopped
	case <-p.draining:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// setReady makes a process take the events.
func (p *Plugin) setReady(r *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = r
	close(p.changed)
	p.changed = make(chan struct{})
}

// unready makes a process take no more events, if it still does.
func (p *Plugin) unready(r *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready == r {
		p.ready = nil
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// setStatus changes the status under the lock, and the time if the state has
// changed.
func (p *Plugin) setStatus(change func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.status.State
	change(&p.status)
	if p.status.State != before {
		p.status.Since = time.Now()
	}
}
