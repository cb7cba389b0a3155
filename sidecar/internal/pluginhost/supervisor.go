package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// supervisor keeps a plugin running as ordered. One goroutine owns its fields;
// starts and processes have goroutines of their own, which report back by events,
// each exactly once.
//
// There is at most one process that takes events, one that is being started,
// and those that are being stopped.
type supervisor struct {
	p      *Plugin
	h      *Host
	log    *slog.Logger
	first  func()      // called when the first start has succeeded or failed
	events chan func() // what the goroutines report; they are run by loop
	out    int         // goroutines that have not reported yet

	current *running // takes events, or nil
	next    *startup // being started, or nil

	tried string // digest of the program that was tried last, whose copy is held

	failures int         // in a row, for the backoff
	crashes  []time.Time // recent, oldest first
	retryAt  time.Time   // earliest next start, while there is no process
}

// running is a process that takes events, until it is retired.
type running struct {
	*process.Process
	build *catalog.Build
	began time.Time // as ready

	retire  chan struct{} // closed once: drain and stop it
	retired atomic.Bool   // from now on, events that it loses are lost by the host
	tried   atomic.Bool   // it got an event after it had shown that it lives by itself
}

// startup is an attempt to fulfil an order.
type startup struct {
	order  order
	cancel context.CancelFunc
}

// outcome is how a startup ended.
type outcome struct {
	build *catalog.Build // as far as it is known
	proc  *process.Process
	same  bool // what the order wants is already running
	err   error
}

// supervise keeps a process running until the host stops or the plugin is
// removed.
func (p *Plugin) supervise(first func()) {
	s := &supervisor{p: p, h: p.host, log: p.log, first: first, events: make(chan func())}
	defer first()
	s.loop()
}

func (s *supervisor) loop() {
	defer s.p.setStatus(func(st *Status) { st.State, st.PID, st.Up = StateStopped, 0, time.Time{} })
	defer func() { s.h.catalog.Release(s.tried) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	stopping, removed := s.h.stopping, s.p.removed
	for {
		changed := s.p.orders.changed()
		if stopping == nil || removed == nil {
			s.halt()
			if s.out == 0 {
				return
			}
		} else if wait := s.plan(); wait >= 0 {
			timer.Reset(wait)
		}
		select {
		case event := <-s.events:
			s.out--
			event()
		case <-changed:
		case <-timer.C:
		case <-stopping:
			stopping = nil
		case <-removed:
			removed = nil
		}
	}
}

// halt stops the current process and the one being started.
func (s *supervisor) halt() {
	if s.next != nil {
		s.next.cancel()
	}
	if s.current != nil {
		s.p.setStatus(func(st *Status) { st.State = StateDraining })
		s.retire()
	}
}

// plan acts on the current order, and returns how long to wait before the next
// look; negative means until something happens.
func (s *supervisor) plan() time.Duration {
	o := s.p.orders.get()
	if s.next != nil {
		if s.next.order.gen != o.gen {
			s.next.cancel() // it is out of date, and reports soon
		}
		return -1
	}
	if !o.enabled {
		if s.current != nil {
			s.p.setStatus(func(st *Status) { st.State = StateDraining })
			s.retire()
			return -1
		}
		s.p.setStatus(func(st *Status) { st.State, st.Enabled, st.PID, st.Up = StateDisabled, false, 0, time.Time{} })
		s.h.reclaim(s.p, nil)
		s.p.orders.decided(o.gen, nil)
		s.first()
		return -1
	}
	s.p.setStatus(func(st *Status) { st.Enabled = true })
	if s.p.orders.isDecided(o.gen) {
		if s.current != nil {
			return -1
		}
		if wait := time.Until(s.retryAt); wait > 0 {
			return wait
		}
	} else {
		s.failures, s.crashes = 0, nil // a new order: earlier failures do not count
	}
	s.begin(o)
	return -1
}

// begin starts to fulfil an order.
func (s *supervisor) begin(o order) {
	ctx, cancel := context.WithCancel(context.Background())
	s.next = &startup{order: o, cancel: cancel}
	running := s.current
	if running == nil {
		s.p.setStatus(func(st *Status) { st.State = StateVerifying })
	}
	s.out++
	go func() {
		defer cancel()
		out := s.start(ctx, o, running)
		s.events <- func() { s.started(o, out) }
	}()
}

// start makes a build of what an order wants, and starts a process of it that can
// take events.
func (s *supervisor) start(ctx context.Context, o order, current *running) (out outcome) {
	again := o.force && !s.p.orders.isDecided(o.gen)
	if err := s.h.launch.Resources.Permit(o.file); err != nil && o.file.Err == nil {
		out.build, out.err = &catalog.Build{Entry: o.file}, catalog.Final(err)
		return out
	}
	out.build, out.err = s.h.catalog.Build(o.file, again)
	if out.err != nil && current == nil && !again {
		if b, ok := s.h.catalog.Fallback(o.file); ok {
			b.Held = out.build.Held
			out.build, out.err = b, nil
		}
	}
	if out.err != nil || ctx.Err() != nil {
		out.err = cmp.Or(out.err, ctx.Err())
		return out
	}
	if current != nil && !again && current.build.Same(out.build) {
		out.same = true
		return out
	}
	if current == nil {
		s.p.setStatus(func(st *Status) { st.State, st.Digest = StateStarting, out.build.Digest })
	} else if !out.build.StandIn {
		s.log.Info("plugin has changed: the new one is started beside the old", "digest", short(out.build.Digest))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.h.cfg.StartTimeout,
		fmt.Errorf("plugin was not ready within %v", s.h.cfg.StartTimeout))
	defer cancel()
	proc, err := s.h.launch.Start(ctx, out.build, s.log)
	if err != nil {
		out.err = fmt.Errorf("start: %w", err)
		return out
	}
	if current != nil { // it replaces one that works, and so has to prove more
		if err := proc.Link.Ping(ctx); err != nil {
			proc.Kill()
			out.err = fmt.Errorf("start: %w", proc.WithTail(err))
			return out
		}
	}
	if err := s.h.claim(ctx, s.p, out.build, proc.About); err != nil {
		proc.Link.Close()
		proc.Kill()
		out.err = err
		return out
	}
	out.proc = proc
	return out
}

// started takes over the result of a start.
func (s *supervisor) started(o order, out outcome) {
	cancelled := s.p.orders.get().gen != o.gen || s.halting()
	s.next = nil
	defer s.release(out.build)
	if cancelled {
		if out.proc != nil {
			out.proc.Link.Close()
			out.proc.Kill()
			s.h.reclaim(s.p, s.current)
		}
		return
	}
	defer s.first()
	switch {
	case out.same:
		// The process may have ended meanwhile; then it is started again, as planned.
		s.p.setStatus(func(st *Status) { st.File, st.Update = out.build.Path, s.standing(out.build) })
		s.rememberFile(out.build)
		s.p.orders.decided(o.gen, nil)
	case out.err == nil:
		s.takeOver(out)
		s.p.orders.decided(o.gen, nil)
	case s.current != nil:
		s.keepOld(o, out)
		s.p.orders.decided(o.gen, out.err)
	default:
		s.failed(out.build, out.err)
		s.p.orders.decided(o.gen, out.err)
	}
}

func (s *supervisor) halting() bool { return isClosed(s.p.removed) || s.h.isStopping() }

// standing returns the update that did not come up, if the build runs in its
// place.
func (s *supervisor) standing(b *catalog.Build) *Update {
	if failed, ok := s.h.catalog.Failure(s.p.file.Name); ok && b.StandIn {
		u := Update(failed)
		return &u
	}
	return nil
}

// takeOver makes a new process take the events. The order of effects: its
// events are announced; it is entered as ready, so that what waits goes to it;
// the old one takes no more, finishes and is stopped.
func (s *supervisor) takeOver(out outcome) {
	old := s.current
	r := &running{Process: out.proc, build: out.build, began: time.Now(), retire: make(chan struct{})}
	patterns := out.proc.About.GetPatterns()
	s.p.mu.Lock()
	known := slices.Equal(patterns, s.p.patterns)
	s.p.patterns = slices.Clone(patterns)
	s.p.mu.Unlock()
	s.p.setStatus(func(st *Status) {
		st.State, st.PID, st.Up = StateReady, out.proc.PID(), time.Now()
		st.File = out.build.Path
		st.Version, st.SDK = out.proc.About.GetVersion(), out.proc.About.GetSdk()
		st.Digest, st.Rollback = out.build.Digest, out.build.Rollback
		st.Update = s.standing(out.build)
		if old != nil {
			st.Reloads++
		}
	})
	s.log.Info("plugin is ready", "pid", out.proc.PID(), "version", out.proc.About.GetVersion(),
		"sdk", out.proc.About.GetSdk(), "patterns", patterns, "digest", short(out.build.Digest))
	if !known && s.h.cfg.OnDescribe != nil {
		s.h.cfg.OnDescribe(s.p.Name(), slices.Clone(patterns))
	}
	s.p.setReady(r)
	if old != nil {
		s.retire()
	}
	s.current = r
	s.out++
	go func() {
		reason := s.p.serve(r, s.log)
		s.events <- func() { s.ended(r, reason) }
	}()
	s.remember(out)
}

// ended records the end of a process.
func (s *supervisor) ended(r *running, reason error) {
	if r != s.current {
		return // it was retired
	}
	s.current = nil
	if s.halting() {
		return
	}
	if time.Since(r.began) >= s.h.timings.settled {
		s.failures = 0
	}
	s.failed(r.build, reason)
}

// failed decides what follows when there is no process because of err.
func (s *supervisor) failed(b *catalog.Build, err error) {
	l := s.h.timings
	now := time.Now()
	s.crashes = append(slices.DeleteFunc(s.crashes, func(at time.Time) bool { return now.Sub(at) > l.crashWindow }), now)
	state, wait := StateBackoff, l.backoff(s.failures, rand.Float64())
	start, ok := errors.AsType[*process.StartError](err)
	switch {
	case catalog.IsFinal(err) || ok && start.Final():
		state, wait = StateFailed, l.probe
	case len(s.crashes) >= l.crashMax:
		state, wait = StateFailed, l.probe
		err = fmt.Errorf("%d crashes in %v, the last: %w", len(s.crashes), l.crashWindow, err)
	}
	s.failures++
	s.retryAt = now.Add(wait)
	s.p.setStatus(func(st *Status) {
		st.State, st.PID, st.Up = state, 0, time.Time{}
		st.LastError, st.LastErrorAt = err.Error(), now
		st.Restarts++
		if b != nil && b.Digest != "" {
			st.Digest = b.Digest
		}
	})
	s.log.Error("plugin is down", "code", telemetry.CodePluginDown, "state", state, "error", err, "restart_in", wait)
}

// backoff returns how long to wait before the start that follows n failures:
// a random part of backoffBase·2ⁿ, so that plugins that failed together do not
// start together.
func (t timings) backoff(n int, jitter float64) time.Duration {
	most := t.backoffMax
	if n < 30 { // beyond, the shift overflows
		most = min(most, t.backoffBase<<n)
	}
	return time.Duration(jitter * float64(most))
}

// retire takes the current process out of service. It finishes the events that it
// has.
func (s *supervisor) retire() {
	r := s.current
	s.current = nil
	s.p.unready(r)
	close(r.retire)
}

func short(digest string) string { return digest[:min(len(digest), 8)] }
