//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// limits are the times that the supervisor allows. They are not configuration:
// tests shorten them.
type limits struct {
	grace    time.Duration // for a result after Cancel
	idle     time.Duration // for Drained when there is nothing left to do
	shutdown time.Duration // for the answer to Shutdown
	lifeline time.Duration // to end after the lifeline is cut
	term     time.Duration // to end after SIGTERM
	reap     time.Duration // for the kernel to end it after SIGKILL
	dump     time.Duration // for the goroutine dump after SIGQUIT
	obituary time.Duration // for the exit status after the stream broke
	memory   time.Duration // between measurements of its memory
	settle   time.Duration // without a hello, until a program that reads lines is taken to have started

	pingEvery  time.Duration
	pingWait   time.Duration
	pingMisses int           // in a row, until the process is killed
	stuck      time.Duration // holding only events nobody waits for, until it is killed

	backoffBase time.Duration
	backoffMax  time.Duration
	settled     time.Duration // ready for so long, and the backoff starts over
}

func defaultLimits() limits {
	return limits{
		grace:       2 * time.Second,
		idle:        2 * time.Second,
		shutdown:    time.Second,
		lifeline:    2 * time.Second,
		term:        2 * time.Second,
		reap:        2 * time.Second,
		dump:        time.Second,
		obituary:    200 * time.Millisecond,
		memory:      time.Second,
		settle:      500 * time.Millisecond,
		pingEvery:   5 * time.Second,
		pingWait:    2 * time.Second,
		pingMisses:  3,
		stuck:       30 * time.Second,
		backoffBase: 250 * time.Millisecond,
		backoffMax:  30 * time.Second,
		settled:     time.Minute,
	}
}

// backoff returns how long to wait before the start that follows n failures:
// a random part of backoffBase·2ⁿ, so that plugins that fell together do not
// rise together.
func (l limits) backoff(n int, jitter float64) time.Duration {
	most := l.backoffMax
	if n < 30 { // beyond, the shift overflows
		most = min(most, l.backoffBase<<n)
	}
	return time.Duration(jitter * float64(most))
}

// supervise keeps a process running until the host stops. It is the only
// goroutine that starts and stops the plugin's processes. first is called once,
// when the first start has succeeded or failed.
func (p *Plugin) supervise(first func()) {
	defer first()
	defer p.setStatus(func(s *Status) { s.State, s.PID = StateStopped, 0 })
	log := p.host.cfg.Log.With("plugin", p.file.name)
	for failures := 0; ; failures++ {
		proc, err := p.start(log)
		first()
		if err == nil {
			begun := time.Now()
			err = p.serve(proc, log)
			if time.Since(begun) >= p.host.limits.settled {
				failures = 0
			}
		}
		if p.host.isStopping() {
			return
		}
		wait := p.host.limits.backoff(failures, rand.Float64())
		p.setStatus(func(s *Status) {
			s.State, s.PID, s.Up = StateBackoff, 0, time.Time{}
			s.LastError, s.LastErrorAt = err.Error(), time.Now()
			s.Restarts++
		})
		log.Error("plugin is down", "code", telemetry.CodePluginDown, "error", err, "restart_in", wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.host.stopping:
			timer.Stop()
			return
		}
	}
}

// start starts a process and makes it known.
func (p *Plugin) start(log *slog.Logger) (*process, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), p.host.cfg.StartTimeout,
		fmt.Errorf("plugin was not ready within %v", p.host.cfg.StartTimeout))
	defer cancel()
	go func() {
		select {
		case <-p.host.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	p.setStatus(func(s *Status) { s.State = StateStarting })
	if p.file.err != nil {
		return nil, fmt.Errorf("start: %w", p.file.err)
	}
	begun := time.Now()
	proc, err := startProcess(ctx, p.host, p.file, log)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	patterns := proc.about.GetPatterns()
	p.mu.Lock()
	known := slices.Equal(patterns, p.patterns)
	p.patterns = patterns
	p.mu.Unlock()
	p.setStatus(func(s *Status) {
		s.State, s.PID, s.Up = StateReady, proc.pidNumber(), time.Now()
		s.Version, s.SDK = proc.about.GetVersion(), proc.about.GetSdk()
	})
	log.Info("plugin is ready", "pid", proc.pidNumber(), "version", proc.about.GetVersion(),
		"sdk", proc.about.GetSdk(), "patterns", patterns, "took", time.Since(begun).Round(time.Millisecond))
	if !known && p.host.cfg.OnDescribe != nil {
		p.host.cfg.OnDescribe(p.Name(), slices.Clone(patterns))
	}
	p.setReady(proc)
	return proc, nil
}

// serve watches a ready process until it ends, is found to be unwell, or the
// host stops, and leaves nothing of it. It returns why.
func (p *Plugin) serve(proc *process, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(context.Background())
	unwell := make(chan error, 1)
	go func() { unwell <- p.watchHealth(ctx, proc, log) }()
	var reason error
	select {
	case <-proc.dead:
		// Results that it got out are still in the socket.
		timer := time.NewTimer(p.host.limits.obituary)
		select {
		case <-proc.link.done:
		case <-timer.C:
		}
		timer.Stop()
		reason = errors.New(proc.Diagnose(ctx))
	case <-proc.link.done:
		reason = proc.end()
	case reason = <-unwell:
		// A Go program answers this signal with the stacks of all of its
		// goroutines, and they reach the log.
		proc.signal(syscall.SIGQUIT)
		proc.waitDone(p.host.limits.dump)
	case <-p.host.stopping:
		p.setStatus(func(s *Status) { s.State = StateDraining })
		if problem := proc.stop(p.host.cfg.DrainTimeout); problem != nil {
			log.Warn("plugin was stopped by force", "code", telemetry.CodePluginForced, "reason", problem)
		} else {
			log.Info("plugin stopped")
		}
		reason = ErrStopped
	}
	cancel()
	p.setReady(nil)
	proc.kill()
	return reason
}

// watchHealth pings the plugin until ctx ends or it is unwell.
func (p *Plugin) watchHealth(ctx context.Context, proc *process, log *slog.Logger) error {
	l := p.host.limits
	ticker := time.NewTicker(l.pingEvery)
	defer ticker.Stop()
	misses := 0
	var stuckSince time.Time
	for {
		select {
		case <-ticker.C:
		case <-proc.link.done:
			return proc.link.cause
		case <-ctx.Done():
			return ctx.Err()
		}
		pingCtx, cancel := context.WithTimeout(ctx, l.pingWait)
		err := proc.link.ping(pingCtx)
		cancel()
		if err == nil {
			misses = 0
		} else if misses++; misses >= l.pingMisses {
			return fmt.Errorf("plugin hangs: %d pings in a row failed: %w", misses, err)
		} else if ctx.Err() == nil {
			log.Warn("plugin did not answer a ping", "code", telemetry.CodePluginSilent, "error", err, "misses", misses)
		}
		switch {
		case !proc.link.stuck():
			stuckSince = time.Time{}
		case stuckSince.IsZero():
			stuckSince = time.Now()
		case time.Since(stuckSince) >= l.stuck:
			return errors.New("plugin hangs: all of its credit is spent on events that timed out")
		}
	}
}
