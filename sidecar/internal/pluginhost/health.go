package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// watchHealth pings the plugin until ctx ends or it is unwell.
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
