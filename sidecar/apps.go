package sidecar

import (
	"context"
	"fmt"
	"reflect"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

// defaultForward is the target of events that no route takes.
var defaultForward = delivery.Forward.Target("default")

// apps are the HTTP apps that events are forwarded to. They are replaced as a
// whole when the configuration is reloaded, so that every event is routed by one
// configuration or the other, never by half of each.
type apps struct {
	forwards []*forward.Forward
	sync     []syncRoute
	configs  map[string]forward.Config // by target, to detect changes
	key      string                    // public half of the signing key; empty if there is no app
}

// syncRoute is a route whose target answers events itself.
type syncRoute struct {
	patterns []string
	target   *forward.Forward
}

// makeApps makes the targets of routes and of HOOKSWITCH_FORWARD_TO. It uses
// those of old that have not changed again, with their connections.
func (s *Sidecar) makeApps(cfg *Config, old *apps) (*apps, error) {
	list, err := cfg.Apps()
	if err != nil {
		return nil, err
	}
	a := &apps{configs: make(map[string]forward.Config)}
	if len(list) == 0 {
		return a, nil
	}
	key, err := cfg.LoadForwardKey(s.dir)
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	a.key = keyfile.PublicText(key)
	for _, app := range list {
		to := app.Forward
		to.Key, to.UserAgent, to.Attempts, to.Log = key, "hookswitch/"+s.opts.Version, s.observe.attempts, s.log
		f := old.same(to)
		if f == nil {
			if f, err = forward.New(to); err != nil {
				return nil, config.NewError(app.Variable, err.Error())
			}
		}
		a.configs[f.Name()] = to
		a.forwards = append(a.forwards, f)
		// It is still a target: an event can be replayed to it.
		if app.Sync {
			a.sync = append(a.sync, syncRoute{patterns: to.Patterns, target: f})
		}
	}
	return a, nil
}

// same returns the forward of a that has this configuration, or nil.
func (a *apps) same(to forward.Config) *forward.Forward {
	target := delivery.Forward.Target(to.Name)
	if a == nil || !reflect.DeepEqual(a.configs[target], to) {
		return nil
	}
	return a.find(target)
}

func (a *apps) find(name string) *forward.Forward {
	for _, f := range a.forwards {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

// setApps replaces the apps while events come in and attempts are under way:
//
//  1. the dispatcher knows the new ones, and gives the next attempts to those
//     that have changed,
//  2. events are routed by the new configuration from here on,
//  3. the dispatcher forgets those that are gone. Their events stay in the
//     store, for a target of the same name.
func (s *Sidecar) setApps(next *apps) error {
	old := s.apps.Load()
	for _, f := range next.forwards {
		var err error
		switch before := old.find(f.Name()); {
		case before == nil:
			s.observe.metrics.Target(f.Name())
			err = s.dispatch.Add(f)
		case before != f:
			err = s.dispatch.Replace(f)
		}
		if err != nil {
			return fmt.Errorf("sidecar: %w", err)
		}
	}
	s.apps.Store(next)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, f := range old.forwards {
		name := f.Name()
		if next.find(name) != f {
			f.Close()
		}
		if next.find(name) == nil {
			_ = s.dispatch.Remove(gone, name) // attempts under way end by themselves
		}
	}
	return nil
}

// route returns the names of the apps that get an event: those of its routes,
// or else HOOKSWITCH_FORWARD_TO.
func (a *apps) route(eventType string) (names []string) {
	fallback := false
	for _, f := range a.forwards {
		switch {
		case f.Name() == defaultForward:
			fallback = true
		case delivery.Wanted(f.Patterns(), eventType):
			names = append(names, f.Name())
		}
	}
	if len(names) == 0 && fallback {
		names = append(names, defaultForward)
	}
	return names
}

// passer returns the app that answers events of this type itself, or nil.
func (a *apps) passer(eventType string) accept.Passer {
	for _, r := range a.sync {
		if delivery.Wanted(r.patterns, eventType) {
			return r.target
		}
	}
	return nil
}
