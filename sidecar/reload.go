package sidecar

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/certificate"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// reloaded is the result of reading the configuration again.
type reloaded struct {
	At      time.Time
	Err     error    // it was refused, and nothing has changed
	Changed []string // names of variables whose new values are in effect
	Restart []string // names of variables whose new values take a restart
}

// reload is the state of reloading.
type reload struct {
	mu       sync.Mutex // held while the configuration is reloaded
	stopping atomic.Bool

	current atomic.Pointer[Config]   // in effect; nil before the first reload
	settled atomic.Pointer[[]string] // warnings about the configuration in effect
}

// Reload reads the configuration again, by Options.Load, and puts into effect
// what can change while the sidecar runs. A bad configuration is refused as a
// whole, with a [*config.Error] that lists its problems. Settings that take a
// restart stay as they are, and are named in the log.
//
// It may be called at any time, also concurrently.
func (s *Sidecar) Reload(ctx context.Context) error {
	return s.reloadConfig(ctx).Err
}

// config returns the configuration in effect.
func (s *Sidecar) config() Config {
	if c := s.reload.current.Load(); c != nil {
		return *c
	}
	return s.cfg
}

func (s *Sidecar) reloadConfig(ctx context.Context) reloaded {
	s.reload.mu.Lock()
	defer s.reload.mu.Unlock()
	if s.reload.stopping.Load() {
		return reloaded{At: time.Now(), Err: errStopping}
	}
	s.notify.Reloading()
	defer func() { s.notify.Ready(s.status()) }()
	r := s.tryReload()
	r.At = time.Now()
	s.observe.metrics.Reloaded(r.Err)
	s.logReload(ctx, r)
	return r
}

var errStopping = errors.New("sidecar: reload: the sidecar is stopping")

func (s *Sidecar) tryReload() (r reloaded) {
	if s.opts.Load == nil {
		r.Err = errors.New("sidecar: reload: this program cannot read its configuration again")
		return r
	}
	read, err := s.opts.Load()
	if err != nil {
		r.Err = err
		return r
	}
	now := s.config()
	next, changed, restart := now.Merge(&read)
	if (next.TLSCertFile != "") != (s.listeners.certificate != nil) {
		// A listener that speaks plain HTTP continues to do so.
		next.TLSCertFile, next.TLSKeyFile = now.TLSCertFile, now.TLSKeyFile
		isTLS := func(name string) bool { return strings.HasPrefix(name, "HOOKSWITCH_TLS_") }
		changed, restart = slices.DeleteFunc(changed, isTLS), append(restart, "HOOKSWITCH_TLS_CERT_FILE")
	}
	p, err := s.prepare(&next)
	if err == nil {
		err = s.apply(p)
	}
	if err != nil {
		r.Err = err
		return r
	}
	r.Changed, r.Restart = changed, restart
	for _, text := range s.warnings() {
		s.log.Warn("configuration: "+text, "code", telemetry.CodeConfigWarning)
	}
	return r
}

// prepared is a configuration with all that it needs, not yet in effect.
type prepared struct {
	cfg      *Config
	apps     *apps
	verifier *webhook.Verifier
	pair     certificate.Pair
	alertKey ed25519.PrivateKey // nil unless alerts are sent
}

// prepare makes all that a new configuration needs, which may fail.
func (s *Sidecar) prepare(c *Config) (p prepared, err error) {
	p.cfg = c
	// What the sidecar would run with is not what was read: a token may be left
	// out only if the address that stays does not need it.
	if err = c.Recheck(s.opts.Dev); err != nil {
		return p, err
	}
	if p.apps, err = s.makeApps(c, s.apps.Load()); err != nil {
		return p, err
	}
	if p.verifier, err = s.makeVerifier(c); err != nil {
		return p, err
	}
	if p.pair, err = c.ReadCertificate(); err != nil {
		return p, err
	}
	if s.listeners.certificate != nil {
		if why := s.listeners.certificate.Refuses(p.pair, time.Now()); why != "" {
			return p, config.NewError("HOOKSWITCH_TLS_CERT_FILE", "cannot take the place of the one in use: "+why)
		}
	}
	if s.observe.alerts != nil {
		p.alertKey, err = c.LoadForwardKey(s.dir)
	}
	return p, err
}

// apply puts a configuration into effect. Only its first step can fail.
func (s *Sidecar) apply(p prepared) error {
	if err := s.setApps(p.apps); err != nil {
		return err
	}
	c := p.cfg
	s.observe.alerts.SetKey(p.alertKey)
	s.accept.SetVerifier(p.verifier)
	s.accept.SetProxies(c.TrustedProxies)
	s.dispatch.SetPolicy(dispatch.Policy{
		Schedule:    delivery.Schedule(c.RetrySchedule),
		MaxAge:      time.Duration(c.RetryMaxAge),
		Concurrency: c.Concurrency,
	})
	s.retain.Set(limits(c))
	s.admin.records.SetToken(string(c.AdminToken))
	s.admin.api.SetToken(string(c.AdminToken))
	s.admin.guard.Set(access(c))
	if s.opts.Level != nil {
		s.opts.Level.Set(c.LogLevel)
	}
	if s.listeners.certificate != nil {
		s.listeners.certificate.Use(p.pair, c.ReadCertificate)
	}
	s.settle(c)
	s.reload.current.Store(c)
	return nil
}

// logReload logs whether the new configuration is in effect, and what it takes.
func (s *Sidecar) logReload(ctx context.Context, r reloaded) {
	if r.Err != nil {
		if ce, ok := errors.AsType[*config.Error](r.Err); ok {
			for _, p := range ce.Problems {
				s.log.Error("configuration: "+p.String(), "code", telemetry.CodeConfigRefused)
			}
		}
		s.log.Error("the new configuration is refused, and the old one stays in effect", "code", telemetry.CodeConfigRefused, "error", r.Err)
		return
	}
	s.log.Info("configuration reloaded", "changed", r.Changed)
	if len(r.Restart) > 0 {
		s.log.Warn("these settings have changed and take a restart", "code", telemetry.CodeConfigRestart, "settings", r.Restart)
	}
	if slices.Contains(r.Changed, "HOOKSWITCH_TIMEOUT") && len(s.plugins.Plugins()) > 0 {
		s.log.Warn("apps have the new HOOKSWITCH_TIMEOUT; plugins keep the old one until a restart", "code", telemetry.CodeConfigRestart)
	}
	if key := s.ForwardKey(); key != "" && slices.Contains(r.Changed, "HOOKSWITCH_FORWARD_KEY") {
		s.log.Warn("forwarded requests are signed with another key: give its public half to the app, and restart one that was started with the sidecar", "code", telemetry.CodeConfigRestart, "TELNYX_PUBLIC_KEY", key)
	}
	s.logLeft(ctx)
}

// logLeft names the events that wait for targets that are not configured.
func (s *Sidecar) logLeft(ctx context.Context) {
	backlog, err := s.store.Backlog(ctx)
	if err != nil {
		return // the store says so itself, wherever it matters
	}
	names, left := s.targetNames(), make(map[string]int)
	for target, n := range backlog {
		if !slices.Contains(names, target) {
			left[target] = n
		}
	}
	if len(left) > 0 {
		s.log.Warn("events wait for targets that are not configured: configure the target again to have them delivered", "code", telemetry.CodeTargetMissing, "events", left)
	}
}

// settings returns the settings in effect, for the admin API.
func (s *Sidecar) settings() []adminapi.Setting {
	c := s.config()
	return c.Settings()
}

// reloadForAPI is Reload with its results in the words of the API.
func (s *Sidecar) reloadForAPI(ctx context.Context) (adminapi.Reloaded, error) {
	r := s.reloadConfig(ctx)
	if ce, ok := errors.AsType[*config.Error](r.Err); ok {
		var problems []adminapi.ConfigProblem
		for _, p := range ce.Problems {
			problems = append(problems, adminapi.ConfigProblem(p))
		}
		return adminapi.Reloaded{}, adminapi.BadConfiguration(problems)
	}
	if r.Err != nil {
		return adminapi.Reloaded{}, adminapi.NotReloaded(r.Err)
	}
	return adminapi.Reloaded{At: r.At, Changed: append([]string{}, r.Changed...), Restart: append([]string{}, r.Restart...)}, nil
}
