package sidecar

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// openTracer makes the tracer, if spans are sent.
func (s *Sidecar) openTracer(context.Context) error {
	to, err := s.cfg.Exporter()
	if err != nil || to.URL == "" {
		return err
	}
	to.Version, to.Log = s.opts.Version, s.log
	s.observe.tracer, err = telemetry.NewTracer(to)
	return err
}

// openGauges makes the metrics that are measured when they are read.
func (s *Sidecar) openGauges() {
	for _, name := range s.targetNames() {
		s.observe.metrics.Target(name)
	}
	s.observe.gauges = telemetry.NewGauges(s.observe.metrics, telemetry.Sources{
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

// openAlerts makes the sender of alerts, if they are sent. Its key is that of
// forwarded requests, whether there is an app or not.
func (s *Sidecar) openAlerts(context.Context) error {
	if s.cfg.AlertURL == "" {
		return nil
	}
	key, err := s.cfg.LoadForwardKey(s.dir)
	if err != nil {
		return fmt.Errorf("sidecar: key of alerts: %w", err)
	}
	record := s.admin.records.Outline // alerts go to chats, and stay there
	if s.cfg.AlertPayload {
		record = s.admin.records.Record
	}
	s.observe.alerts = telemetry.NewAlerts(telemetry.AlertConfig{
		URL: string(s.cfg.AlertURL), Key: key, UserAgent: "hookswitch/" + s.opts.Version,
		Form: s.cfg.AlertFormat, Template: string(s.cfg.AlertTemplate),
		Link:       func(id string) string { return s.Addresses().Admin + "/v2/webhook_deliveries/" + id },
		Record:     record,
		Answers:    s.cfg.AlertPayload,
		Levels:     s.observe.gauges.Levels,
		BacklogAge: time.Duration(s.cfg.AlertBacklogAge),
		Plugins:    s.pluginGauges,
		DiskFree:   func() (uint64, error) { return telemetry.DiskFree(s.dir) },
		DiskFloor:  2 * uint64(s.cfg.DiskFloor), // before the sidecar stops being ready
		Log:        s.log,
	})
	return nil
}

// testAlert sends a test alert for the API.
func (s *Sidecar) testAlert(ctx context.Context) (adminapi.AlertTest, error) {
	answered, sent, err := s.observe.alerts.Test(ctx)
	if !sent {
		return adminapi.AlertTest{}, adminapi.NewProblem(http.StatusConflict, "no-alerts", "no alerts are sent: set HOOKSWITCH_ALERT_URL, and restart the sidecar")
	}
	result := adminapi.AlertTest{OK: err == nil, Format: s.cfg.AlertFormat, Status: answered.Status, Answer: answered.Body, TookSeconds: answered.Took.Seconds()}
	if err != nil {
		result.Error = err.Error()
	}
	return result, nil
}

// needHealth adds the checks of readiness and liveness, besides the store.
func (s *Sidecar) needHealth() {
	s.observe.health.LogTo(s.log)
	for _, out := range s.opts.Outputs {
		s.observe.health.Note("output", func(context.Context) string { return out.Trouble() })
	}
	s.observe.metrics.LogLines(func() (lost uint64) {
		for _, out := range s.opts.Outputs {
			lost += out.Lost()
		}
		return lost
	})
	if s.cfg.DiskFloor > 0 {
		s.observe.health.NeedReady("disk", telemetry.DiskAbove(s.dir, uint64(s.cfg.DiskFloor)))
	}
	s.observe.health.NeedLive("dispatch", func(context.Context) error { return s.dispatch.Alive() })
	s.observe.health.NeedLive("attempts", func(context.Context) error { return s.observe.attempts.Check() })
}
