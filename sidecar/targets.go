package sidecar

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// defaultForward is the target of events that no route takes.
const defaultForward = "forward:default"

// syncTimeout is how long an app may take to answer for itself if neither the
// route nor Config.Timeout says less: somebody is on the line.
const syncTimeout = 10 * time.Second

// syncRoute is a route whose target answers events itself.
type syncRoute struct {
	patterns []string
	target   *forward.Forward
}

// startTargets starts what events are delivered to, and the dispatcher that
// will do so. Plugins are up before the first event is accepted, so that they
// have said which events they want.
func (s *Sidecar) startTargets(ctx context.Context) error {
	targets, err := s.openForwards()
	if err != nil {
		return err
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
		Schedule:     store.Schedule(s.cfg.RetrySchedule),
		MaxAge:       time.Duration(s.cfg.RetryMaxAge),
		Concurrency:  s.cfg.Concurrency,
		DrainTimeout: time.Duration(s.cfg.ShutdownTimeout),
		Log:          s.log,
		OnAttempt:    s.onAttempt,
		Tracer:       s.tracer,
	})
	if err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	if err := s.plugins.Start(ctx); err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	return nil
}

// openForwards makes the targets of routes and of HOOKSWITCH_FORWARD_TO. It
// returns those that the dispatcher delivers to.
func (s *Sidecar) openForwards() (targets []dispatch.Target, err error) {
	if s.cfg.ForwardTo == "" && len(s.cfg.Routes) == 0 {
		return nil, nil
	}
	key, err := s.loadForwardKey()
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	if s.cfg.ForwardTo != "" {
		f, err := s.openForward(key, "HOOKSWITCH_FORWARD_TO", Route{Name: "default", To: s.cfg.ForwardTo})
		if err != nil {
			return nil, err
		}
		targets = append(targets, f)
	}
	for _, r := range s.cfg.Routes {
		r.Name = r.name()
		if r.Mode == "sync" && r.Timeout == 0 {
			r.Timeout = min(s.cfg.Timeout, Duration(syncTimeout))
		}
		f, err := s.openForward(key, r.prefix()+"TO", r)
		if err != nil {
			return nil, err
		}
		if r.Mode == "sync" {
			s.sync = append(s.sync, syncRoute{patterns: r.Match, target: f})
		}
		// Also that of a sync route: an event can be replayed to it.
		targets = append(targets, f)
	}
	return targets, nil
}

func (s *Sidecar) openForward(key ed25519.PrivateKey, variable string, r Route) (*forward.Forward, error) {
	sign, err := s.cfg.signMode()
	if err != nil {
		return nil, newConfigError("HOOKSWITCH_FORWARD_SIGN", err.Error())
	}
	retryOn, err := forward.ParseRetryOn(s.cfg.RetryOn)
	if err != nil {
		return nil, newConfigError("HOOKSWITCH_RETRY_ON", err.Error())
	}
	timeout := time.Duration(r.Timeout)
	if timeout == 0 {
		timeout = time.Duration(s.cfg.Timeout)
	}
	f, err := forward.New(forward.Config{
		Name:      r.Name,
		URL:       r.To,
		Patterns:  r.Match,
		Key:       key,
		Sign:      sign,
		RetryOn:   retryOn,
		Header:    s.cfg.ForwardHeaders.header,
		Timeout:   timeout,
		UserAgent: "hookswitch/" + s.opts.Version,
		Log:       s.log,
	})
	if err != nil {
		return nil, newConfigError(variable, err.Error())
	}
	s.forwards = append(s.forwards, f)
	return f, nil
}

// signMode returns what ForwardSign means.
func (c *Config) signMode() (forward.Sign, error) {
	switch c.ForwardSign {
	case "", "resign":
		return forward.Resign, nil
	case "passthrough":
		return forward.Passthrough, nil
	case "none":
		return forward.Unsigned, nil
	}
	return 0, errors.New("is none of resign, passthrough and none")
}

// loadForwardKey returns the key that signs forwarded requests.
func (s *Sidecar) loadForwardKey() (ed25519.PrivateKey, error) {
	key, err := s.cfg.LoadForwardKey(s.dir)
	if err != nil {
		return nil, err
	}
	s.forwardKey = PublicText(key)
	return key, nil
}

// openPlugins makes a target of each plugin, not started yet.
func (s *Sidecar) openPlugins(ctx context.Context) error {
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
		Environ:      s.cfg.environ(),
		Memory:       int64(s.cfg.PluginMemory),
		OpenFiles:    s.cfg.PluginOpenFiles,
		User:         s.cfg.PluginUser,
		RefuseRoot:   !s.opts.Dev, // who develops as root knows it
		Timeout:      time.Duration(s.cfg.Timeout),
		DrainTimeout: time.Duration(s.cfg.ShutdownTimeout),
		Log:          s.opts.Plugins,
		OnDescribe: func(target string, patterns []string) {
			if err := s.dispatch.Remember(context.WithoutCancel(ctx), target, patterns); err != nil {
				s.log.Error("the events that a plugin wants could not be stored: after a restart it gets none until it is up", "target", target, "error", err)
			}
		},
	})
	if _, ok := errors.AsType[*pluginhost.UserError](err); ok {
		return newConfigError("HOOKSWITCH_PLUGIN_USER", err.Error())
	}
	if err != nil {
		return newConfigError("HOOKSWITCH_PLUGIN_DIR", err.Error())
	}
	return nil
}

// route returns the targets that get an event: those that want it, but
// HOOKSWITCH_FORWARD_TO only if no route does.
func (s *Sidecar) route(eventType string) []string {
	names := s.dispatch.Route(eventType)
	routed := slices.ContainsFunc(names, func(name string) bool {
		return strings.HasPrefix(name, "forward:") && name != defaultForward
	})
	if !routed {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == defaultForward })
}

// passer returns the target that answers events of this type itself, or nil.
func (s *Sidecar) passer(eventType string) accept.Passer {
	for _, r := range s.sync {
		if slices.ContainsFunc(r.patterns, func(p string) bool { return event.Match(p, eventType) }) {
			return r.target
		}
	}
	return nil
}

// targetNames returns the names of all targets.
func (s *Sidecar) targetNames() []string {
	var names []string
	for _, f := range s.forwards {
		names = append(names, f.Name())
	}
	for _, p := range s.plugins.Plugins() {
		names = append(names, p.Name())
	}
	return names
}
