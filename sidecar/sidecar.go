// Package sidecar is the hookswitch daemon: it accepts Telnyx webhooks,
// stores them durably before it answers, delivers them to plugins and to an
// HTTP app with retries, and serves the record of every delivery.
//
// [Load] reads the settings, [New] opens everything in the order in
// which the parts stand on each other, and [Sidecar.Run] works until its
// context ends and then stops them in the opposite order. All wiring is here;
// the parts, under internal, know each other by small interfaces only.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/certificate"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/replay"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/rolling"
	"github.com/hookswitch/hookswitch/sidecar/internal/sdnotify"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/metered"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Config is every setting of the sidecar.
type Config = config.Config

// Load reads the configuration from the environment, and what that leaves open
// from files of NAME=VALUE lines; see [config.Load].
func Load(files ...string) (Config, error) { return config.Load(files...) }

// Options are what a program adds to the configuration.
type Options struct {
	Version string       // of the program, sent as User-Agent to the app
	Log     *slog.Logger // required
	Plugins *slog.Logger // what plugins do and print; nil means Log
	Dev     bool         // also accept events signed with the development key

	// Outputs are where Log writes, and the program itself, if that can lose
	// lines: they are counted, and readiness and status say so.
	Outputs []*telemetry.LogWriter

	// StopLimit is how long the program may take to end after Run: the service
	// manager is told to wait for that too.
	StopLimit time.Duration

	// Load reads the configuration again, and says whether it is good, for
	// Sidecar.Reload. nil: it cannot be reloaded.
	Load func() (Config, error)

	// Level, if not nil, is the level of Log, which Reload changes.
	Level *slog.LevelVar
}

// Sidecar is a daemon that [New] has made ready to [Sidecar.Run].
type Sidecar struct {
	cfg      Config
	opts     Options
	dir      string
	log      *slog.Logger
	lock     *dirlock.Lock // of dir, if the store is elsewhere
	store    store.Store
	health   *telemetry.Health
	attempts *telemetry.Attempts
	notify   *sdnotify.Notifier
	metrics  *telemetry.Metrics
	gauges   *telemetry.Gauges
	tracer   *telemetry.Tracer // nil unless spans go somewhere
	alerts   *telemetry.Alerts // nil unless somebody is told
	plugins  *pluginhost.Host
	apps     atomic.Pointer[apps]
	dispatch *dispatch.Dispatcher
	replays  *replay.Runner
	retain   *retention.Keeper
	accept   *accept.Server
	records  *deliveryapi.API
	operate  *adminapi.API
	feed     *live.Feed // what happens at the moment
	rejects  live.Rejects
	files    listen.Files
	strays   strays
	answers  rolling.Window // to webhooks: others are rejections
	started  time.Time
	admin    *http.Server // on adminNet
	local    *http.Server // on socket
	public   net.Listener
	adminNet net.Listener
	socket   net.Listener

	socketPath string
	place      *adminapi.Socket // what is at socketPath; while Run is under way, of keepPlaces
	socketPool *listen.Pool     // of the connections of socket

	scraped    *http.Server // on metricsNet
	metricsNet net.Listener // nil without Config.MetricsListen

	guard       *adminapi.Guard
	certificate *certificate.Keeper // of public; nil if it speaks plain HTTP

	settled atomic.Pointer[[]string] // warnings about the configuration in effect

	reload reload
}

// New opens the data directory and the listeners, starts the plugins, and
// returns a Sidecar that is ready to Run. When it fails nothing is left open.
func New(ctx context.Context, cfg Config, opts Options) (_ *Sidecar, err error) {
	if cfg.PublicKey.Ring == nil {
		cfg.PublicKey.Ring = new(webhook.KeyRing) // in dev the only key may be our own
	}
	if opts.Plugins == nil {
		opts.Plugins = opts.Log
	}
	s := &Sidecar{cfg: cfg, opts: opts, log: opts.Log,
		metrics: telemetry.NewMetrics(opts.Version), feed: live.NewFeed(live.DefaultRing), started: time.Now()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = cfg.Dir(); err != nil {
		return nil, err
	}
	if err = os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("sidecar: data directory: %w", err)
	}
	db, err := s.openStore(ctx)
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	accepts := metered.New(db, s.metrics, func() { s.health.Doubt() })
	s.store = accepts
	if err = s.openTracer(); err != nil {
		return nil, err
	}
	if err = s.listen(); err != nil {
		return nil, err
	}
	s.settle(&s.cfg)
	s.health = telemetry.NewHealth(accepts.Check)
	s.attempts = telemetry.NewAttempts(s.log, telemetry.OverdueGrace)
	s.needHealth(db)
	s.needPlaces(db)
	if err = s.startTargets(ctx); err != nil {
		return nil, err
	}
	if err = s.openFaces(); err != nil {
		return nil, err
	}
	s.openNotify()
	return s, nil
}

// listen opens the listeners before anything is started, so that a port in
// use is noticed at once. Who connects early waits in the backlog.
func (s *Sidecar) listen() (err error) {
	if s.public, err = net.Listen("tcp", s.cfg.Listen); err != nil {
		return fmt.Errorf("sidecar: %w: choose another address with HOOKSWITCH_LISTEN", err)
	}
	pair, err := s.cfg.ReadCertificate()
	if err != nil {
		return err
	}
	if pair.Certificate != nil {
		s.certificate = certificate.NewKeeper(pair, s.cfg.ReadCertificate, s.metrics.Certificate, s.log)
		s.public = s.certificate.Listener(s.public)
	}
	if s.adminNet, err = net.Listen("tcp", s.cfg.AdminListen); err != nil {
		return fmt.Errorf("sidecar: %w: choose another address with HOOKSWITCH_ADMIN_LISTEN", err)
	}
	if s.cfg.MetricsListen != "" {
		if s.metricsNet, err = net.Listen("tcp", s.cfg.MetricsListen); err != nil {
			return fmt.Errorf("sidecar: %w: choose another address with HOOKSWITCH_METRICS_LISTEN", err)
		}
	}
	path := s.cfg.AdminSocket
	if path == "" {
		path = instance.AdminSocket(s.dir)
	}
	s.socketPath = path
	if s.place, err = adminapi.ListenSocket(path); err != nil {
		return fmt.Errorf("sidecar: %w: choose another path with HOOKSWITCH_ADMIN_SOCKET", err)
	}
	s.socket = s.place
	return nil
}

// publicURL returns the base URL of webhooks.
func (s *Sidecar) publicURL() string {
	url := instance.BaseURL(s.public.Addr())
	if s.certificate != nil {
		url = "https" + strings.TrimPrefix(url, "http")
	}
	return url
}

// Addresses returns where the sidecar can be reached from this machine.
func (s *Sidecar) Addresses() instance.Info {
	here := instance.Info{
		PID:      os.Getpid(),
		Webhooks: s.publicURL() + s.cfg.Paths[0],
		Admin:    instance.BaseURL(s.adminNet.Addr()),
		Socket:   s.socketPath,
		Dev:      s.opts.Dev,
		Metrics:  instance.BaseURL(s.adminNet.Addr()) + "/metrics",
	}
	if s.metricsNet != nil {
		here.Metrics = instance.BaseURL(s.metricsNet.Addr()) + "/metrics"
	}
	return here
}

// Dir returns the data directory.
func (s *Sidecar) Dir() string { return s.dir }

// ForwardKey returns the public key that the app verifies forwarded requests
// with, or "" if there is no app.
func (s *Sidecar) ForwardKey() string { return s.apps.Load().key }

// Plugins returns the names of the plugins, and for each the event types that
// it wants; nil if it has not been able to say.
func (s *Sidecar) Plugins() map[string][]string {
	plugins := make(map[string][]string)
	for _, p := range s.plugins.Plugins() {
		plugins[p.Name()] = p.Patterns()
	}
	return plugins
}

// Run works until ctx ends or a part fails, then stops. The order of stopping
// is the order in which the parts need each other:
//
//  1. readiness off; webhooks are accepted for Config.DrainDelay more,
//  2. no new webhooks, those under way are answered,
//  3. no new attempts, those under way end and are recorded,
//  4. plugins are drained and stopped,
//  5. the admin listeners are closed, and then the store.
//
// A kill at any moment loses nothing that was acknowledged. Run may be called
// once.
func (s *Sidecar) Run(ctx context.Context) error { return s.RunReady(ctx, func() {}) }

// RunReady is Run, and calls ready when webhooks can be received.
func (s *Sidecar) RunReady(ctx context.Context, ready func()) error {
	defer s.close()
	here := s.Addresses()
	if err := here.Write(s.dir); err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	defer here.Remove(s.dir)

	// Each part gets a context of its own, which only its turn to stop ends.
	background := context.WithoutCancel(ctx)
	failed := make(chan error, 8)
	start := func(run func(context.Context) error) (stop func()) {
		partCtx, cancel := context.WithCancel(background)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := run(partCtx); err != nil {
				failed <- err
			}
		}()
		return func() { cancel(); <-done }
	}
	stopAdmin := start(func(ctx context.Context) error { return serve(ctx, s.admin, s.adminNet) })
	stopLocal := start(func(ctx context.Context) error { return serve(ctx, s.local, s.socket) })
	stopScraped := func() {}
	if s.scraped != nil {
		stopScraped = start(func(ctx context.Context) error { return serve(ctx, s.scraped, s.metricsNet) })
	}
	stopAlerts := func() {}
	if s.alerts != nil {
		stopAlerts = start(s.alerts.Run)
	}
	stopPlugins := start(s.plugins.Run)
	stopDispatch := start(s.dispatch.Run)
	stopReplays := start(s.replays.Run)
	stopRetention := start(s.retain.Run)
	stopAccept := start(s.accept.Run)
	stopRenewal := func() {}
	if s.certificate != nil {
		stopRenewal = start(s.certificate.Run)
	}
	stopNotify := start(s.notify.Run)
	stopHealth := start(s.health.Run)
	stopPlaces := start(func(ctx context.Context) error { return s.keepPlaces(ctx, here) })
	s.health.SetReady(true)
	s.notify.Ready(s.status())
	s.log.Info("ready", "webhooks", here.Webhooks, "admin", here.Admin, "data", s.dir,
		"keys", s.cfg.PublicKey.Ring.Labels(), "plugins", len(s.plugins.Plugins()), "forwards", len(s.apps.Load().forwards))

	ready()

	var cause error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case cause = <-failed:
		s.log.Error("a part of the sidecar failed, stopping", "code", telemetry.CodePartFailed, "error", cause)
	}
	s.health.SetReady(false)
	s.reload.stopping.Store(true)
	s.notify.Stopping("stopping: what is under way is being finished", s.stopLimit())
	if cause == nil {
		cause = s.drainDelay(failed)
	}
	stopPlaces()
	stopHealth()
	stopAccept()
	stopReplays()
	stopRenewal()
	stopRetention()
	stopDispatch()
	stopPlugins()
	s.logBacklog(background)
	stopNotify()
	stopAlerts()
	stopScraped()
	s.feed.Close() // who watches has seen the end, and need not be waited for
	stopLocal()
	stopAdmin()
	close(failed)
	for err := range failed {
		cause = errors.Join(cause, err)
	}
	return cause
}

// drainDelay waits while load balancers notice that the sidecar is not ready.
// If a part fails meanwhile it returns the error at once.
func (s *Sidecar) drainDelay(failed <-chan error) error {
	t := time.NewTimer(time.Duration(s.cfg.DrainDelay))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case err := <-failed:
		return err
	}
}

// logBacklog says what is left for the next start.
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

// close releases what New has opened, in the opposite order. It may be called
// again.
func (s *Sidecar) close() {
	s.feed.Close()
	if s.plugins != nil {
		s.plugins.Stop()
	}
	if a := s.apps.Load(); a != nil {
		for _, f := range a.forwards {
			f.Close()
		}
	}
	for _, l := range []net.Listener{s.public, s.adminNet, s.metricsNet} {
		if l != nil {
			_ = l.Close()
		}
	}
	if s.place != nil {
		_ = s.place.Close()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("the store did not close cleanly", "code", telemetry.CodeStoreClose, "error", err)
		}
		s.store = nil
	}
	telemetry.SumUp(s.log)
	s.tracer.Close() // last: what is above may still have something to tell
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}
