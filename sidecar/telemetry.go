package sidecar

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// openTracer makes the tracer, if spans go somewhere.
func (s *Sidecar) openTracer() error {
	to, err := s.cfg.Exporter()
	if err != nil || to.URL == "" {
		return err
	}
	to.Version, to.Log = s.opts.Version, s.log
	s.tracer, err = telemetry.NewTracer(to)
	return err
}

// openGauges makes what is measured when somebody looks.
func (s *Sidecar) openGauges() {
	for _, name := range s.targetNames() {
		s.metrics.Target(name)
	}
	s.gauges = telemetry.NewGauges(s.metrics, telemetry.Sources{
		Levels:   s.levels,
		Plugins:  s.pluginGauges,
		Targets:  s.targetNames,
		DiskFree: func() (uint64, error) { return telemetry.DiskFree(s.dir) },
		Log:      s.log,
	})
}

func (s *Sidecar) levels(ctx context.Context) (telemetry.Levels, error) {
	stats, err := s.store.Stats(ctx)
	levels := telemetry.Levels{Dead: make(map[string]int), StoreBytes: stats.Bytes}
	for _, j := range stats.Jobs {
		if j.Status == store.StatusDead {
			levels.Dead[j.Target] = j.Count
			continue
		}
		levels.Backlog = append(levels.Backlog, telemetry.Backlog{
			Target: j.Target, State: string(j.Status), Events: j.Count, Oldest: j.Oldest,
		})
	}
	return levels, err
}

func (s *Sidecar) pluginGauges() (list []telemetry.Plugin) {
	for _, status := range s.plugins.Status() {
		if status.Misfit { // its name may be that of a plugin
			continue
		}
		list = append(list, telemetry.Plugin{
			Name: status.Name, Version: status.Version, SHA256: status.Digest, State: string(status.State),
			Up: status.State == pluginhost.StateReady, Restarts: status.Restarts, InFlight: status.InFlight,
		})
	}
	return list
}

// openAlerts makes what tells people, if there is somebody to tell. Its key is
// that of forwarded requests, whether there is an app or not.
func (s *Sidecar) openAlerts(records *deliveryapi.API) error {
	if s.cfg.AlertURL == "" {
		return nil
	}
	key, err := s.cfg.LoadForwardKey(s.dir)
	if err != nil {
		return fmt.Errorf("sidecar: key of alerts: %w", err)
	}
	s.alerts = telemetry.NewAlerts(telemetry.AlertConfig{
		URL: string(s.cfg.AlertURL), Key: key, UserAgent: "hookswitch/" + s.opts.Version,
		Record:     records.Record,
		Levels:     s.gauges.Levels,
		BacklogAge: time.Duration(s.cfg.AlertBacklogAge),
		Plugins:    s.pluginGauges,
		DiskFree:   func() (uint64, error) { return telemetry.DiskFree(s.dir) },
		DiskFloor:  2 * uint64(s.cfg.DiskFloor), // before the sidecar stops being ready
		Log:        s.log,
	})
	return nil
}

// needHealth says what readiness and liveness need, besides the store.
func (s *Sidecar) needHealth(db store.Store) {
	s.health.LogTo(s.log)
	for _, out := range s.opts.Outputs {
		s.health.Note("output", func(context.Context) string { return out.Trouble() })
	}
	s.metrics.LogLines(func() (lost uint64) {
		for _, out := range s.opts.Outputs {
			lost += out.Lost()
		}
		return lost
	})
	if db, ok := db.(interface {
		Warning(context.Context) string
	}); ok {
		s.health.Note("store", db.Warning)
	}
	if s.cfg.DiskFloor > 0 {
		s.health.NeedReady("disk", telemetry.DiskAbove(s.dir, uint64(s.cfg.DiskFloor)))
	}
	s.health.NeedLive("dispatch", func(context.Context) error { return s.dispatch.Alive() })
	s.health.NeedLive("attempts", func(context.Context) error { return s.attempts.Check() })
}

// serveMetrics adds /metrics to the admin listeners. On the network it wants
// the token, as everything there does; HOOKSWITCH_METRICS_LISTEN is for
// scrapers that have none.
func (s *Sidecar) serveMetrics(network, local *http.ServeMux, api *adminapi.API, most int) {
	page := s.metrics.Handler(s.log)
	network.Handle("GET /metrics", api.Protect(page))
	local.Handle("GET /metrics", page)
	if s.metricsNet != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", page)
		s.health.Register(mux)
		s.scraped, _ = s.server("metrics", most, &s.metricsNet, listen.Proven(mux))
	}
}

// onAccept, onReject, onPass and onAttempt hear of everything that happens.
func (s *Sidecar) onAccept(e *delivery.Event, a store.Accepted, targets []string) {
	s.metrics.Event(e.Type, e.KeyLabel, e.ReceivedAt.Sub(e.SignedAt), a.Duplicate)
	s.observeAccept(e, a, targets)
}

func (s *Sidecar) onReject(r *http.Request, why accept.Rejection) {
	s.metrics.Rejected(why.Reason)
	if why.Reason == accept.UnknownPath {
		s.strays.note(r.URL.Path, time.Now())
	}
	s.observeReject(r, why)
}

func (s *Sidecar) onPass(e *delivery.Event, a delivery.Attempt) {
	state := a.Outcome.End()
	s.count(e, a, state, e.ReceivedAt)
	a.N = max(a.N, 1)
	s.observeAttempt(e, a, state, time.Time{}) // whoever asked has had the answer: there is no second try
}

func (s *Sidecar) onAttempt(t delivery.Task, a delivery.Attempt, state delivery.State, next time.Time) {
	s.count(t.Event, a, state, t.Job.RoundAt)
	s.observeAttempt(t.Event, a, state, next)
}

// count counts an attempt at an event that waited since a time.
func (s *Sidecar) count(e *delivery.Event, a delivery.Attempt, state delivery.State, since time.Time) {
	s.metrics.Attempt(&a, state)
	switch state {
	case delivery.Done:
		s.metrics.Delivered(a.Target, max(0, a.FinishedAt.Sub(since)))
	case delivery.Dead:
		s.metrics.Dead(a.Target)
		s.alerts.Dead(a.Target, e.DeliveryID, a.Error)
	}
}
