// Package sidecar is the hookswitch daemon: it accepts Telnyx webhooks,
// stores them durably before it answers, delivers them to plugins and to an
// HTTP app with retries, and serves the record of every delivery.
//
// [LoadConfig] reads the settings, [New] opens everything in the order in
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
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Options are what a program adds to the configuration.
type Options struct {
	Version string       // of the program, sent as User-Agent to the app
	Log     *slog.Logger // required
	Plugins *slog.Logger // what plugins do and print; nil means Log
	Dev     bool         // also accept events signed with the development key
	Observe Observer
}

// Sidecar is a daemon that [New] has made ready to [Sidecar.Run].
type Sidecar struct {
	cfg      Config
	opts     Options
	dir      string
	log      *slog.Logger
	store    *sqlite.DB
	health   *telemetry.Health
	plugins  *pluginhost.Host
	forward  *forward.Forward // nil without an app
	dispatch *dispatch.Dispatcher
	accept   *accept.Server
	admin    *http.Server
	public   net.Listener
	adminNet net.Listener

	forwardKey, devKey string // public halves
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
	s := &Sidecar{cfg: cfg, opts: opts, log: opts.Log}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = cfg.Dir(); err != nil {
		return nil, &ConfigError{Problems: []string{"HOOKSWITCH_STORE " + err.Error()}}
	}
	if err = os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("sidecar: data directory: %w", err)
	}
	if s.store, err = sqlite.Open(ctx, sqlite.Config{Dir: s.dir, Log: s.log}); err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	if err = s.listen(); err != nil {
		return nil, err
	}
	s.health = telemetry.NewHealth(s.store.Ping)
	if err = s.startTargets(ctx); err != nil {
		return nil, err
	}
	if err = s.openFaces(); err != nil {
		return nil, err
	}
	return s, nil
}

// listen opens both listeners before anything is started, so that a port in
// use is noticed at once. Who connects early waits in the backlog.
func (s *Sidecar) listen() (err error) {
	if s.public, err = net.Listen("tcp", s.cfg.Listen); err != nil {
		return fmt.Errorf("sidecar: %w: choose another address with HOOKSWITCH_LISTEN", err)
	}
	if s.adminNet, err = net.Listen("tcp", s.cfg.AdminListen); err != nil {
		return fmt.Errorf("sidecar: %w: choose another address with HOOKSWITCH_ADMIN_LISTEN", err)
	}
	return nil
}

// startTargets starts what events are delivered to, and the dispatcher that
// will do so. Plugins are up before the first event is accepted, so that they
// have said which events they want.
func (s *Sidecar) startTargets(ctx context.Context) error {
	var targets []dispatch.Target
	if s.cfg.ForwardTo != "" {
		key, err := LoadKey(s.dir, ForwardKey)
		if err != nil {
			return fmt.Errorf("sidecar: %w", err)
		}
		s.forwardKey = PublicText(key)
		s.forward, err = forward.New(forward.Config{
			URL:       s.cfg.ForwardTo,
			Key:       key,
			Timeout:   time.Duration(s.cfg.Timeout),
			UserAgent: "hookswitch/" + s.opts.Version,
			Log:       s.log,
		})
		if err != nil {
			return &ConfigError{Problems: []string{"HOOKSWITCH_FORWARD_TO: " + err.Error()}}
		}
		targets = append(targets, s.forward)
	}
	// What plugins keep belongs to the data, wherever the sidecar was started.
	work, err := filepath.Abs(filepath.Join(s.dir, "work"))
	if err == nil {
		err = os.MkdirAll(work, 0o700)
	}
	if err != nil {
		return fmt.Errorf("sidecar: working directory of plugins: %w", err)
	}
	s.plugins, err = pluginhost.New(pluginhost.Config{
		Dir:          s.cfg.PluginDir,
		RunDir:       runDir(s.dir),
		WorkDir:      work,
		Env:          s.cfg.PluginEnv,
		Environ:      environment(),
		Timeout:      time.Duration(s.cfg.Timeout),
		DrainTimeout: time.Duration(s.cfg.ShutdownTimeout),
		Log:          s.opts.Plugins,
		OnDescribe: func(target string, patterns []string) {
			if err := s.dispatch.Remember(context.WithoutCancel(ctx), target, patterns); err != nil {
				s.log.Error("the events that a plugin wants could not be stored: after a restart it gets none until it is up", "target", target, "error", err)
			}
		},
	})
	if err != nil {
		return &ConfigError{Problems: []string{"HOOKSWITCH_PLUGIN_DIR: " + err.Error()}}
	}
	for _, p := range s.plugins.Plugins() {
		targets = append(targets, p)
	}
	s.dispatch, err = dispatch.New(dispatch.Config{
		Store:        s.store,
		Targets:      targets,
		Schedule:     store.Schedule(s.cfg.RetrySchedule),
		Concurrency:  s.cfg.Concurrency,
		DrainTimeout: time.Duration(s.cfg.ShutdownTimeout),
		Log:          s.log,
		OnAttempt:    s.opts.Observe.attempt,
	})
	if err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	if err := s.plugins.Start(ctx); err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	return nil
}

// openFaces makes what is reached from outside: the way in and the records.
func (s *Sidecar) openFaces() error {
	ring := s.cfg.PublicKey.Ring
	if s.opts.Dev {
		key, err := LoadKey(s.dir, DevKey)
		if err != nil {
			return fmt.Errorf("sidecar: %w", err)
		}
		s.devKey = PublicText(key)
		if ring, err = withKey(ring, "dev", key.Public()); err != nil {
			return fmt.Errorf("sidecar: %w", err)
		}
	}
	var err error
	s.accept, err = accept.New(accept.Config{
		Listener: s.public,
		Paths:    s.cfg.Paths,
		Verifier: &webhook.Verifier{Keys: ring, Tolerance: time.Duration(s.cfg.Tolerance)},
		Store:    s.store,
		Route:    s.dispatch.Route,
		Wake:     s.dispatch.Wake,
		Health:   s.health,
		Log:      s.log,
		OnAccept: s.opts.Observe.accept,
		OnReject: s.opts.Observe.reject,
	})
	if err != nil {
		return &ConfigError{Problems: []string{"HOOKSWITCH_PATHS: " + err.Error()}}
	}
	api, err := deliveryapi.New(deliveryapi.Config{
		Store: s.store, UserID: s.cfg.UserID, Token: string(s.cfg.AdminToken), Log: s.log,
	})
	if err != nil {
		return &ConfigError{Problems: []string{"HOOKSWITCH_USER_ID: " + err.Error()}}
	}
	mux := http.NewServeMux()
	s.health.Register(mux)
	mux.Handle("/v2/", api.Handler())
	var handler http.Handler = mux
	if s.cfg.AdminToken == "" {
		handler = loopbackOnly(mux)
	}
	s.admin = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return nil
}

// Addresses returns where the sidecar can be reached from this machine.
func (s *Sidecar) Addresses() Instance {
	return Instance{
		PID:      os.Getpid(),
		Webhooks: baseURL(s.public.Addr()) + s.cfg.Paths[0],
		Admin:    baseURL(s.adminNet.Addr()),
		Dev:      s.opts.Dev,
	}
}

// Dir returns the data directory.
func (s *Sidecar) Dir() string { return s.dir }

// ForwardKey returns the public key that the app verifies forwarded requests
// with, or "" if there is no app.
func (s *Sidecar) ForwardKey() string { return s.forwardKey }

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
//  1. readiness off, no new webhooks, those under way are answered,
//  2. no new attempts, those under way end and are recorded,
//  3. plugins are drained and stopped,
//  4. the admin listener is closed, and then the store.
//
// A kill at any moment loses nothing that was acknowledged. Run may be called
// once.
func (s *Sidecar) Run(ctx context.Context) error {
	defer s.close()
	here := s.Addresses()
	if err := here.write(s.dir); err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	defer os.Remove(filepath.Join(s.dir, instanceFile))

	// Each part gets a context of its own, which only its turn to stop ends.
	background := context.WithoutCancel(ctx)
	failed := make(chan error, 4)
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
	stopAdmin := start(s.serveAdmin)
	stopPlugins := start(s.plugins.Run)
	stopDispatch := start(s.dispatch.Run)
	stopAccept := start(s.accept.Run)
	s.health.SetReady(true)
	s.log.Info("ready", "webhooks", here.Webhooks, "admin", here.Admin, "store", s.dir,
		"keys", s.cfg.PublicKey.Ring.Labels(), "plugins", len(s.plugins.Plugins()), "forward", s.forward != nil)

	var cause error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case cause = <-failed:
		s.log.Error("a part of the sidecar failed, stopping", "error", cause)
	}
	s.health.SetReady(false)
	stopAccept()
	stopDispatch()
	stopPlugins()
	s.logBacklog(background)
	stopAdmin()
	close(failed)
	for err := range failed {
		cause = errors.Join(cause, err)
	}
	return cause
}

func (s *Sidecar) serveAdmin(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.admin.Serve(s.adminNet) }()
	select {
	case err := <-failed:
		return fmt.Errorf("admin listener: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if s.admin.Shutdown(stop) != nil {
		_ = s.admin.Close() // a reader who does not finish loses nothing
	}
	<-failed
	return nil
}

// logBacklog says what is left for the next start.
func (s *Sidecar) logBacklog(ctx context.Context) {
	pending := 0
	backlog, err := s.store.Backlog(ctx)
	for _, n := range backlog {
		pending += n
	}
	if err != nil {
		s.log.Error("drained, but the backlog could not be counted", "error", err)
		return
	}
	s.log.Info("drained", "in_flight", 0, "pending_on_disk", pending)
}

// close releases what New has opened, in the opposite order. It may be called
// again.
func (s *Sidecar) close() {
	if s.plugins != nil {
		s.plugins.Stop()
	}
	if s.forward != nil {
		s.forward.Close()
	}
	for _, l := range []net.Listener{s.public, s.adminNet} {
		if l != nil {
			_ = l.Close()
		}
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("the store did not close cleanly", "error", err)
		}
		s.store = nil
	}
}
