package sidecar

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// recentWarnings returns the latest warnings and errors of the log.
func (s *Sidecar) recentWarnings() (list []adminapi.Warning) {
	for _, line := range s.observe.recent.Lines() {
		list = append(list, adminapi.Warning(line))
	}
	return list
}

// report returns the state of the sidecar, for people.
func (s *Sidecar) report(ctx context.Context) (adminapi.Status, error) {
	asking, cancel := context.WithTimeout(ctx, statsWait)
	defer cancel()
	stats, err := s.store.Stats(asking)
	if errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
		return adminapi.Status{}, err
	}
	now := time.Now()
	started := s.observe.started.UTC()
	acks := s.observe.answers.Read(now)
	free, _ := telemetry.DiskFree(s.dir) // 0 says that it is not known
	unready := s.observe.health.Unready(ctx)
	warnings := append(s.observe.health.Notes(ctx), s.warnings()...)
	r := adminapi.Status{
		Version: s.opts.Version, Ready: unready == "", Unready: unready, Warnings: warnings, Dev: s.opts.Dev,
		StartedAt: &started, Uptime: now.Sub(s.observe.started).Seconds(),
		Webhooks: s.here.Webhooks, Keys: append([]string{}, s.accept.Verifier().Keys.Labels()...),
		Ack:          adminapi.AckStatus{Rate: float64(acks.Timed) / 60, RejectedRate: float64(acks.Other) / 60, P50: acks.P50.Seconds(), P99: acks.P99.Seconds()},
		RejectedKept: len(s.observe.rejects.List(now)), Strays: s.observe.strays.Status(), Paths: s.cfg.Paths,
		Targets: adminapi.CountTargets(stats.Jobs, s.targetNames()), Unhandled: stats.Unhandled, Plugins: []adminapi.PluginStatus{},
		Store: adminapi.StoreStatus{Bytes: stats.Bytes, DiskFree: free},
	}
	if err != nil { // unknown must not look like none
		r.Targets, r.Store.Error = []adminapi.TargetStatus{}, "does not answer: the sidecar's log says why"
		s.log.Error("the store could not be asked what waits, for its status", "code", telemetry.CodeAdminFailed, "error", err)
	}
	for _, p := range s.plugins.Status() {
		r.Plugins = append(r.Plugins, adminapi.PluginStatus{Name: p.Name, State: string(p.State), Version: p.Version, LastError: p.LastError, LastErrorAt: adminapi.Instant(p.LastErrorAt)})
	}
	return r, nil
}

// statsWait is how long a status waits for a store that may hang.
const statsWait = 2 * time.Second

// warnings is Config.Advice for the configuration in effect, with the addresses
// listened on and the plugins found.
func (s *Sidecar) warnings() (list []string) {
	c := s.config()
	list = append(slices.Clone(c.Warnings()), *s.reload.settled.Load()...)
	list = append(list, s.listeners.certificate.Warnings()...)
	plugins := s.Plugins()
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		list = append(list, spelling.Strange(strings.Replace(name, ":", " ", 1)+": events", plugins[name])...)
	}
	return append(list, c.TargetWarnings(len(plugins))...)
}

// settle notes the warnings about c that hold as long as it is in effect.
func (s *Sidecar) settle(c *Config) {
	list := c.StandingWarnings(s.listeners.configured(c))
	s.reload.settled.Store(&list)
}
