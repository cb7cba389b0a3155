package sidecar

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
	"github.com/hookswitch/hookswitch/sidecar/internal/replay"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
)

// openFaces makes what is reached from outside: the way in and the records.
func (s *Sidecar) openFaces() error {
	verifier, err := s.makeVerifier(&s.cfg)
	if err != nil {
		return err
	}
	most := s.boundConnections()
	s.accept, err = accept.New(accept.Config{
		Listener: s.public,
		Paths:    s.cfg.Paths,
		Verifier: verifier,
		Store:    s.store,
		Route:    s.route,
		Sync:     s.passer,
		Entity:   s.cfg.OrderBy.Entity(),
		Wake:     s.dispatch.Wake,
		Health:   s.health,
		Log:      s.log,
		OnAccept: s.onAccept,
		OnReject: s.onReject,
		OnPass:   s.onPass,
		OnAnswer: s.onAnswer,
		Tracer:   s.tracer,

		AckBudget: time.Duration(s.cfg.AckBudget),
		MaxConns:  most.webhooks,
		Files:     &s.files,
	})
	if err != nil {
		return config.NewError("HOOKSWITCH_PATHS", err.Error())
	}
	s.metrics.Listener("webhooks", s.accept.Pool().Open, s.accept.Pool().Closed)
	s.records, err = deliveryapi.New(deliveryapi.Config{
		Store: s.store, UserID: s.cfg.UserID, Token: string(s.cfg.AdminToken), Log: s.log,
	})
	if err != nil {
		return config.NewError("HOOKSWITCH_USER_ID", err.Error())
	}
	s.replays = replay.New(replay.Config{Store: s.store, Wake: s.dispatch.Wake, Log: s.log})
	s.retain = retention.New(retention.Config{
		Store:  s.store,
		Limits: limits(&s.cfg),
		Mark:   filepath.Join(s.dir, "clock"),
		Log:    s.log,
	})
	s.operate, err = adminapi.New(adminapi.Config{
		Store: s.store, Targets: s.targetNames, Replays: s.replays, Plugins: s.plugins, Token: string(s.cfg.AdminToken), Log: s.log,
		Feed: s.feed, Rejects: &s.rejects, Verify: s.explain, Status: s.report,
		Settings: s.settings, Reload: s.reloadForAPI,
	})
	if err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	mux := http.NewServeMux()
	s.health.Register(mux)
	mux.Handle("/v2/", s.records.Handler())
	mux.Handle("/api/v1/", s.operate.Handler())
	local := http.NewServeMux()
	s.openGauges()
	if err := s.openAlerts(s.records); err != nil {
		return err
	}
	s.serveMetrics(mux, local, s.operate, most.metrics)
	s.servePprof(mux, local)
	s.guard = adminapi.NewGuard(access(&s.cfg))
	s.admin, _ = s.server("admin", most.admin, &s.adminNet, s.guard.Handler(mux))

	s.health.Register(local)
	local.Handle("/api/v1/", s.operate.LocalHandler())
	s.local, s.socketPool = s.server("socket", most.socket, &s.socket, listen.Proven(local))
	return nil
}

// limits returns what is kept.
func limits(c *Config) retention.Limits {
	return retention.Limits{
		Keep:     time.Duration(c.Retention),
		KeepDead: time.Duration(c.RetentionDead),
		MaxBytes: int64(c.MaxDisk),
	}
}

// serve serves until ctx ends, and then gives readers a moment.
func serve(ctx context.Context, server *http.Server, l net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("admin listener %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if server.Shutdown(stop) != nil {
		_ = server.Close() // a reader who does not finish loses nothing
	}
	<-failed
	return nil
}

// explain explains a signature with the keys of this moment.
func (s *Sidecar) explain(at time.Time, h http.Header, body []byte) webhook.Explanation {
	return s.accept.Verifier().ExplainAt(at, h, body)
}

// access returns who may ask anything of the admin listener.
func access(c *Config) adminapi.Access {
	return adminapi.Access{Listen: c.AdminListen, Hosts: c.AdminHosts, Token: c.AdminToken != "", ReadOnly: c.AdminReadOnly}
}

// servePprof adds the profiles of the running program, if they are wanted.
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
	network.Handle("/debug/pprof/", s.operate.Protect(mux))
	local.Handle("/debug/pprof/", mux)
}
