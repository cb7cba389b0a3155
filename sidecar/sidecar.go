// Package sidecar is the hookswitch daemon: it accepts Telnyx webhooks, stores
// them durably before it answers, delivers them to plugins and HTTP apps with
// retries, and serves the record of every delivery.
//
// [Load] reads the settings, [New] opens the parts, each after those that it
// needs, and [Sidecar.Run] works until its context ends and then stops them.
// This package is wiring only: the parts, under internal, know each other by
// small interfaces.
package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/replay"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/sdnotify"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
	"github.com/hookswitch/hookswitch/sidecar/internal/upkeep"
)

// Config is every setting of the sidecar.
type Config = config.Config

// Load reads the configuration from the environment, and what that leaves open
// from files of NAME=VALUE lines; see [config.Load].
func Load(files ...string) (Config, error) { return config.Load(files...) }

// Options are a program's additions to the configuration.
type Options struct {
	Version string       // of the program, sent as User-Agent to the app
	Log     *slog.Logger // required
	Plugins *slog.Logger // what plugins do and print; nil means Log
	Dev     bool         // also accept events signed with the development key

	// Outputs are the writers of Log and of the program itself that can lose
	// lines: lost lines are counted, and readiness and status report them.
	Outputs []*telemetry.LogWriter

	// StopLimit is how long the program may take to end after Run, which the
	// service manager is told as well.
	StopLimit time.Duration

	// Load reads and validates the configuration again, for Sidecar.Reload. If
	// it is nil, the configuration cannot be reloaded.
	Load func() (Config, error)

	// Ready, if not nil, is called by Run when webhooks can be received.
	Ready func()

	// Level, if not nil, is the level of Log, which Reload changes.
	Level *slog.LevelVar
}

// Sidecar is a daemon, opened by [New] and ready to [Sidecar.Run].
type Sidecar struct {
	cfg  Config // at the start; reload has the one in effect
	opts Options
	dir  string
	here instance.Info // where it can be reached
	log  *slog.Logger

	observe   observer
	listeners listeners
	lock      *dirlock.Lock // of dir, if the store is elsewhere
	store     store.Store

	apps     atomic.Pointer[apps]
	plugins  *pluginhost.Host
	dispatch *dispatch.Dispatcher

	accept  *accept.Server
	replays *replay.Runner
	retain  *retention.Keeper
	admin   admin
	upkeep  *upkeep.Keeper
	notify  *sdnotify.Notifier
	reload  reload
}

// New opens the data directory and the listeners, starts the plugins, and
// returns a Sidecar that is ready to Run. When it fails nothing is left open.
func New(ctx context.Context, cfg Config, opts Options) (_ *Sidecar, err error) {
	cfg.PublicKey.Ring = cmp.Or(cfg.PublicKey.Ring, new(webhook.KeyRing)) // in dev the only key may be our own
	recent := new(telemetry.Recent)
	opts.Plugins, opts.Log = recent.Watch(cmp.Or(opts.Plugins, opts.Log)), recent.Watch(opts.Log)
	s := &Sidecar{cfg: cfg, opts: opts, log: opts.Log}
	s.observe = observer{
		recent: recent, started: time.Now(), metrics: telemetry.NewMetrics(opts.Version), feed: live.NewFeed(live.DefaultRing),
		attempts: telemetry.NewAttempts(s.log, telemetry.OverdueGrace), passer: s.passer, silence: newSilence(s.log),
	}
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
	for _, open := range []func(context.Context) error{
		s.openStore, s.openTracer, s.openListeners, s.openTargets, s.openLoops, s.openPublic, s.openAdmin, s.openAlerts, s.openNotify,
	} {
		if err = open(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Dir returns the data directory.
func (s *Sidecar) Dir() string { return s.dir }

// Addresses returns where the sidecar can be reached from this machine.
func (s *Sidecar) Addresses() instance.Info { return s.here }

// ForwardKey returns the public key that the app verifies forwarded requests
// with, or "" if there is no app.
func (s *Sidecar) ForwardKey() string { return s.apps.Load().key }

// Live returns the feed of what the sidecar does at the moment.
func (s *Sidecar) Live() *live.Feed { return s.observe.feed }

// Plugins returns the event types that each plugin wants, by its name; nil if it
// has not yet declared any.
func (s *Sidecar) Plugins() map[string][]string {
	plugins := make(map[string][]string)
	for _, p := range s.plugins.Plugins() {
		plugins[p.Name()] = p.Patterns()
	}
	return plugins
}
