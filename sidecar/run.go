package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// A part works in a goroutine of its own from start to stop.
type part struct {
	name string                      // for tests of the order
	run  func(context.Context) error // until its context ends; nil if it is a step of stopping only
	then func(context.Context)       // called when run has returned, before the next part is stopped
}

// parts lists what works while the sidecar does, in the order of stopping: each
// part is stopped before those that it needs. They are started in the opposite
// order.
func (s *Sidecar) parts() []part {
	return []part{
		{name: "upkeep", run: s.upkeep.Run},
		{name: "health", run: s.observe.health.Run},

		// No new webhooks; those under way are answered.
		{name: "accept", run: s.accept.Run},
		{name: "replays", run: s.replays.Run},
		{name: "certificate", run: s.listeners.certificate.Run},
		{name: "retention", run: s.retain.Run},

		// No new attempts; those under way end and are recorded.
		{name: "dispatch", run: s.dispatch.Run},
		{name: "plugins", run: s.plugins.Run, then: s.logBacklog},

		{name: "notify", run: s.notify.Run},
		{name: "alerts", run: s.observe.alerts.Run},
		{name: "metrics", run: s.admin.metrics.run},

		// Viewers have seen the end, and need not be waited for.
		{name: "feed", then: func(context.Context) { s.observe.feed.Close() }},
		{name: "socket", run: s.admin.socket.run},
		{name: "admin", run: s.admin.network.run},
	}
}

// Run works until ctx ends or a part fails, then stops. The order of stopping
// is that of the parts:
//
//  1. readiness off; webhooks are accepted for Config.DrainDelay more,
//  2. no new webhooks, those under way are answered,
//  3. no new attempts, those under way end and are recorded,
//  4. plugins are drained and stopped,
//  5. the admin listeners are closed, and then the store.
//
// A kill at any moment loses nothing that was acknowledged. Run may be called
// once.
func (s *Sidecar) Run(ctx context.Context) error {
	defer s.close()
	if err := s.here.Write(s.dir); err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	defer s.here.Remove(s.dir)

	failed, stop := start(context.WithoutCancel(ctx), s.parts())
	s.ready()

	var cause error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case cause = <-failed:
		s.log.Error("a part of the sidecar failed, stopping", "code", telemetry.CodePartFailed, "error", cause)
	}
	s.observe.health.SetReady(false)
	s.reload.stopping.Store(true)
	s.notify.Stopping("stopping: what is under way is being finished", s.stopLimit())
	if cause == nil {
		cause = s.drainDelay(failed)
	}
	stop()
	for err := range failed {
		cause = errors.Join(cause, err)
	}
	return cause
}

// start starts parts, the last one first. stop stops them, the first one first:
// the context of a part ends when it is its turn. What parts fail with comes from
// failed, which stop closes.
func start(background context.Context, parts []part) (failed <-chan error, stop func()) {
	errs := make(chan error, len(parts))
	stops := make([]func(), len(parts))
	for i, p := range slices.Backward(parts) {
		ctx, cancel := context.WithCancel(background)
		var running sync.WaitGroup
		if p.run != nil {
			running.Go(func() {
				if err := p.run(ctx); err != nil {
					errs <- err
				}
			})
		}
		stops[i] = func() {
			cancel()
			running.Wait()
			if p.then != nil {
				p.then(background)
			}
		}
	}
	return errs, func() {
		for _, stop := range stops {
			stop()
		}
		close(errs)
	}
}

// ready announces that webhooks can be received.
func (s *Sidecar) ready() {
	s.observe.health.SetReady(true)
	s.notify.Ready(s.status())
	s.log.Info("ready", "webhooks", s.here.Webhooks, "admin", s.here.Admin, "data", s.dir,
		"keys", s.cfg.PublicKey.Ring.Labels(), "plugins", len(s.plugins.Plugins()), "forwards", len(s.apps.Load().forwards))
	if s.opts.Ready != nil {
		s.opts.Ready()
	}
}

// drainDelay waits while load balancers notice that the sidecar is not ready.
// If a part fails meanwhile it returns the error at once.
func (s *Sidecar) drainDelay(failed <-chan error) error {
	select {
	case <-time.After(time.Duration(s.cfg.DrainDelay)):
		return nil
	case err := <-failed:
		return err
	}
}

// backlogLimit bounds the last question to the store, which may not answer.
const backlogLimit = 5 * time.Second

// logBacklog logs how many events are left for the next start.
func (s *Sidecar) logBacklog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, backlogLimit)
	defer cancel()
	pending := 0
	backlog, err := s.store.Backlog(ctx)
	for _, n := range backlog {
		pending += n
	}
	if err != nil {
		s.log.Error("drained, but the backlog could not be counted", "code", telemetry.CodeBacklogUncounted, "error", err)
		return
	}
	s.log.Info("drained", "in_flight", 0, "pending_on_disk", pending)
}

// How long the steps of stopping may take, besides what is configured.
const (
	stopRequests = 10 * time.Second // accept: a sender that is still sending, before AckBudget
	stopAttempts = 6 * time.Second  // dispatch: to record the results of attempts that were cancelled
	stopPlugins  = 10 * time.Second // pluginhost: a plugin that does not comply
	stopFaces    = 9 * time.Second  // notify 1 s, alerts 2 s, three listeners at 2 s
	stopStore    = 10 * time.Second // the backlog is counted, the store closed
	stopSpans    = 3 * time.Second  // the last of them are sent
)

// stopLimit is how long stopping may take at worst: the limits of the steps of
// Run, which follow one another, and of what the program does then. An attempt
// that hangs takes ShutdownTimeout, and the plugin that hangs on it takes it
// again.
func (s *Sidecar) stopLimit() time.Duration {
	return time.Duration(s.cfg.DrainDelay) +
		stopRequests + time.Duration(s.cfg.AckBudget) +
		time.Duration(s.cfg.ShutdownTimeout) + stopAttempts +
		time.Duration(s.cfg.ShutdownTimeout) + stopPlugins +
		stopFaces + stopStore + stopSpans +
		s.opts.StopLimit
}

// close releases what New opened, in the opposite order. It may be called again.
func (s *Sidecar) close() {
	s.observe.feed.Close()
	if s.plugins != nil {
		s.plugins.Stop()
	}
	if a := s.apps.Load(); a != nil {
		for _, f := range a.forwards {
			f.Close()
		}
	}
	s.listeners.close()
	if s.upkeep != nil {
		_ = s.upkeep.Close()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("the store did not close cleanly", "code", telemetry.CodeStoreClose, "error", err)
		}
		s.store = nil
	}
	telemetry.SumUp(s.log)
	s.observe.tracer.Close() // last: what is above may still have something to tell
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}
