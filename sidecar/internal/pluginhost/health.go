package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// serve watches a process until it ends, is found unwell or is retired, and
// cleans up. It returns the reason.
func (p *Plugin) serve(r *running, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(context.Background())
	unwell := make(chan error, 1)
	go func() { unwell <- p.watchHealth(ctx, r.Process, log) }()
	var reason error
	select {
	case <-r.Dead():
		// Results that it got out are still in the socket.
		select {
		case <-r.Link.Done():
		case <-time.After(p.host.launch.Timings.Obituary):
		}
		reason = errors.New(r.Diagnose())
	case <-r.Link.Done():
		reason = r.End()
	case reason = <-unwell:
		// No further event may be lost with a process that is about to be killed.
		p.unready(r)
		r.Link.Close()
		// A Go program answers this signal with the stacks of all of its
		// goroutines, and they reach the log.
		r.Signal(syscall.SIGQUIT)
		r.WaitDone(p.host.timings.dump)
	case <-r.retire:
		r.retired.Store(true)
		if problem := r.Stop(p.host.cfg.DrainTimeout); problem != nil {
			log.Warn("plugin was stopped by force", "code", telemetry.CodePluginForced, "pid", r.PID(), "reason", problem)
		} else {
			log.Info("plugin stopped", "pid", r.PID())
		}
		reason = ErrStopped
	}
	cancel()
	p.unready(r)
	p.silence.ended(r)
	r.Kill()
	return reason
}

// watchHealth pings the plugin until ctx ends or the plugin is unwell.
func (p *Plugin) watchHealth(ctx context.Context, proc *process.Process, log *slog.Logger) error {
	l := p.host.timings
	ticker := time.NewTicker(l.pingEvery)
	defer ticker.Stop()
	misses := 0
	var stuckSince time.Time
	for {
		select {
		case <-ticker.C:
		case <-proc.Link.Done():
			return proc.Link.Cause()
		case <-ctx.Done():
			return ctx.Err()
		}
		pingCtx, cancel := context.WithTimeout(ctx, l.pingWait)
		err := proc.Link.Ping(pingCtx)
		cancel()
		if err == nil {
			misses = 0
		} else if misses++; misses >= l.pingMisses {
			return fmt.Errorf("plugin hangs: %d pings in a row failed: %w", misses, err)
		} else if ctx.Err() == nil {
			log.Warn("plugin did not answer a ping", "code", telemetry.CodePluginSilent, "error", err, "misses", misses)
		}
		switch {
		case !proc.Link.Stuck():
			stuckSince = time.Time{}
		case stuckSince.IsZero():
			stuckSince = time.Now()
		case time.Since(stuckSince) >= l.stuck:
			return errors.New("plugin hangs: all of its credit is spent on events that timed out")
		}
	}
}
