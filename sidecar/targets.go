package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// openTargets starts the targets of events, and the dispatcher. Plugins are up
// before the first event is accepted, so that they have declared the events that
// they want.
func (s *Sidecar) openTargets(ctx context.Context) error {
	a, err := s.makeApps(&s.cfg, nil)
	if err != nil {
		return err
	}
	s.apps.Store(a)
	var targets []dispatch.Target
	for _, f := range a.forwards {
		targets = append(targets, f)
	}
	if err := s.openPlugins(ctx); err != nil {
		return err
	}
	for _, p := range s.plugins.Plugins() {
		targets = append(targets, p)
	}
	s.dispatch, err = dispatch.New(dispatch.Config{
		Store:        s.store,
		Targets:      targets,
		Schedule:     delivery.Schedule(s.cfg.RetrySchedule),
		MaxAge:       time.Duration(s.cfg.RetryMaxAge),
		Concurrency:  s.cfg.Concurrency,
		DrainTimeout: time.Duration(s.cfg.ShutdownTimeout),
		Log:          s.log,
		OnAttempt:    s.observe.attempted,
		Tracer:       s.observe.tracer,
	})
	if err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	if err := s.plugins.Start(ctx); err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	return nil
}

// Nothing is claimed for a plugin that is down.
var _ dispatch.Intermittent = (*pluginhost.Plugin)(nil)

// openPlugins makes a target of each plugin, not started yet.
func (s *Sidecar) openPlugins(ctx context.Context) error {
	// The files of plugins belong to the data, wherever the sidecar was started.
	work, err := filepath.Abs(filepath.Join(s.dir, "work"))
	if err == nil {
		err = os.MkdirAll(work, 0o700)
	}
	if err != nil {
		return fmt.Errorf("sidecar: working directory of plugins: %w", err)
	}
	trust := s.cfg.Trust()
	trust.GroupWrite = s.opts.Dev // common on developers' machines: only a warning
	s.plugins, err = pluginhost.New(pluginhost.Config{
		Dir:          s.cfg.PluginDir,
		RunDir:       instance.RunDir(s.dir),
		StateDir:     filepath.Join(s.dir, "plugins"),
		Trust:        trust,
		Watch:        s.cfg.PluginWatch,
		OnAdd:        func(p *pluginhost.Plugin) error { return s.dispatch.Add(p) }, // dispatch is not there yet
		OnRemove:     s.removePlugin,
		WorkDir:      work,
		Env:          s.cfg.PluginEnv,
		Environ:      s.cfg.Environ(),
		Memory:       int64(s.cfg.PluginMemory),
		OpenFiles:    s.cfg.PluginOpenFiles,
		User:         s.cfg.PluginUser,
		RefuseRoot:   !s.opts.Dev, // a developer who is root knows it
		Timeout:      time.Duration(s.cfg.Timeout),
		DrainTimeout: time.Duration(s.cfg.ShutdownTimeout),
		Attempts:     s.observe.attempts,
		Log:          s.opts.Plugins,
		OnDescribe: func(target string, patterns []string) {
			if err := s.dispatch.Remember(context.WithoutCancel(ctx), target, patterns); err != nil {
				s.log.Error("the events that a plugin wants could not be stored: after a restart it gets none until it is up", "code", telemetry.CodeRouteUnsaved, "target", target, "error", err)
			}
			for _, text := range spelling.Strange("a plugin", patterns) {
				s.log.Warn(text, "code", telemetry.CodeEventTypeUnknown, "target", target)
			}
		},
	})
	if _, ok := errors.AsType[*pluginhost.UserError](err); ok {
		return config.NewError("HOOKSWITCH_PLUGIN_USER", err.Error())
	}
	if err != nil {
		return config.NewError("HOOKSWITCH_PLUGIN_DIR", err.Error())
	}
	return nil
}

// removePlugin removes the target of a plugin that is gone. Its events stay in
// the store.
func (s *Sidecar) removePlugin(p *pluginhost.Plugin) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.cfg.ShutdownTimeout))
	defer cancel()
	if err := s.dispatch.Remove(ctx, p.Name()); err != nil {
		s.log.Warn("a plugin that is gone still has events: it is stopped", "code", telemetry.CodePluginForced, "target", p.Name(), "error", err)
	}
}

// route returns the targets of an event: the plugins that want it, and the apps
// that it is routed to.
func (s *Sidecar) route(eventType string) []string {
	plugins := slices.DeleteFunc(s.dispatch.Route(eventType), func(target string) bool {
		_, is := delivery.Forward.Cut(target)
		return is
	})
	return append(s.apps.Load().route(eventType), plugins...)
}

// passer returns the target that answers events of this type itself, or nil.
func (s *Sidecar) passer(eventType string) accept.Passer { return s.apps.Load().passer(eventType) }

// targetNames returns the names of all targets.
func (s *Sidecar) targetNames() []string {
	var names []string
	for _, f := range s.apps.Load().forwards {
		names = append(names, f.Name())
	}
	for _, p := range s.plugins.Plugins() {
		names = append(names, p.Name())
	}
	return names
}
