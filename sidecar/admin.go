package sidecar

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// admin holds the APIs for people and scrapers, and their servers.
type admin struct {
	records *deliveryapi.API
	api     *adminapi.API
	guard   *adminapi.Guard // of network

	network *server // on Config.AdminListen
	socket  *server // for the commands on this machine
	metrics *server // nil without Config.MetricsListen
}

// openAdmin makes the APIs and servers of the admin listeners.
func (s *Sidecar) openAdmin(context.Context) (err error) {
	a, allowed := &s.admin, s.listeners.allowed
	a.records, err = deliveryapi.New(deliveryapi.Config{
		Store: s.store, UserID: s.cfg.UserID, Token: string(s.cfg.AdminToken), Log: s.log,
	})
	if err != nil {
		return config.NewError("HOOKSWITCH_USER_ID", err.Error())
	}
	a.api, err = adminapi.New(adminapi.Config{
		Store: s.store, Targets: s.targetNames, Replays: s.replays, Wake: s.dispatch.Wake, Plugins: s.plugins, Token: string(s.cfg.AdminToken), Log: s.log,
		Feed: s.observe.feed, Rejects: &s.observe.rejects, Status: s.report,
		Verify: func(at time.Time, h http.Header, body []byte) webhook.Explanation {
			return s.accept.Verifier().ExplainAt(at, h, body)
		},
		Settings: s.settings, Reload: s.reloadForAPI, TestAlert: s.testAlert, Warnings: s.recentWarnings,
	})
	if err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	s.openGauges()
	a.guard = adminapi.NewGuard(access(&s.cfg))

	network, local := http.NewServeMux(), http.NewServeMux()
	s.observe.health.Register(network)
	s.observe.health.Register(local)
	network.Handle("/v2/", a.records.Handler())
	network.Handle("/api/v1/", a.api.Handler())
	local.Handle("/api/v1/", a.api.LocalHandler())
	s.serveMetrics(network, local, allowed.metrics)
	s.servePprof(network, local)
	a.network = s.server("admin", allowed.admin, s.listeners.admin, a.guard.Handler(network))
	a.socket = s.server("socket", allowed.socket, s.upkeep.Socket(), listen.Proven(local))
	return nil
}

// access returns who may use the admin listener.
func access(c *Config) adminapi.Access {
	return adminapi.Access{Listen: c.AdminListen, Hosts: c.AdminHosts, Token: c.AdminToken != "", ReadOnly: c.AdminReadOnly}
}

// serveMetrics adds /metrics to the admin listeners. On the network it requires
// the token, like everything there; HOOKSWITCH_METRICS_LISTEN is for scrapers
// without one.
func (s *Sidecar) serveMetrics(network, local *http.ServeMux, limit int) {
	page := s.observe.metrics.Handler(s.log)
	network.Handle("GET /metrics", s.admin.api.Protect(page))
	local.Handle("GET /metrics", page)
	if s.listeners.metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", page)
		s.observe.health.Register(mux)
		s.admin.metrics = s.server("metrics", limit, s.listeners.metrics, listen.Proven(mux))
	}
}

// servePprof adds the profiles of the running program, if configured.
func (s *Sidecar) servePprof(network, local *http.ServeMux) {
	if !s.cfg.Pprof {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // and all that it lists
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	network.Handle("/debug/pprof/", s.admin.api.Protect(mux))
	local.Handle("/debug/pprof/", mux)
}
