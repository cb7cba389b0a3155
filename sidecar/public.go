package sidecar

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

// openPublic makes the server of webhooks.
func (s *Sidecar) openPublic(context.Context) error {
	s.listeners.allowed = s.boundConnections()
	verifier, err := s.makeVerifier(&s.cfg)
	if err != nil {
		return err
	}
	s.accept, err = accept.New(accept.Config{
		Listener: s.listeners.public,
		Paths:    s.cfg.Paths,
		Verifier: verifier,
		Store:    s.store,
		Route:    s.route,
		Sync:     s.passer,
		Entity:   s.cfg.OrderBy.Entity(),
		Wake:     s.dispatch.Wake,
		Health:   s.observe.health,
		Log:      s.log,
		OnAccept: s.observe.accepted,
		OnReject: s.observe.rejected,
		OnPass:   s.observe.passed,
		OnAnswer: s.observe.answered,
		Tracer:   s.observe.tracer,

		AckBudget: time.Duration(s.cfg.AckBudget),
		MaxConns:  s.listeners.allowed.webhooks,
		Files:     &s.listeners.files,
	})
	if err != nil {
		return config.NewError("HOOKSWITCH_PATHS", err.Error())
	}
	s.observe.metrics.Listener("webhooks", s.accept.Pool().Open, s.accept.Pool().Closed)
	return nil
}

// makeVerifier returns the verifier of webhooks.
func (s *Sidecar) makeVerifier(c *Config) (*webhook.Verifier, error) {
	ring := c.PublicKey.Ring
	if ring == nil {
		ring = new(webhook.KeyRing) // in dev the only key may be our own
	}
	if s.opts.Dev {
		key, err := keyfile.Load(s.dir, keyfile.Dev)
		if err != nil {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
		if ring, err = withKey(ring, "dev", key.Public().(ed25519.PublicKey)); err != nil {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
	}
	return &webhook.Verifier{Keys: ring, Tolerance: time.Duration(c.Tolerance), MaxBody: int64(s.cfg.MaxBody)}, nil
}

// withKey returns a ring with the keys of ring and another one.
func withKey(ring *webhook.KeyRing, label string, public ed25519.PublicKey) (*webhook.KeyRing, error) {
	return webhook.NewKeyRing(append(ring.Keys(), webhook.Key{Label: label, Public: public})...)
}
