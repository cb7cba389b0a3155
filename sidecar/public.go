package sidecar

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/fastverify"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
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
		Proxies:  s.cfg.TrustedProxies,

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
	ring := cmp.Or(c.PublicKey.Ring, new(webhook.KeyRing)) // in dev the only key may be our own
	if s.opts.Dev {
		key, err := keyfile.Load(s.dir, keyfile.Dev)
		if err != nil {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
		if ring, err = webhook.NewKeyRing(append(ring.Keys(), webhook.Key{Label: "dev", Public: key.Public().(ed25519.PublicKey)})...); err != nil {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
	}
	verify, err := s.verifyFunc(c.Verifier, ring)
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	return &webhook.Verifier{Keys: ring, Tolerance: time.Duration(c.Tolerance), MaxBody: int64(s.cfg.MaxBody), VerifyFunc: verify}, nil
}

// verifyFunc returns what checks signatures, by HOOKSWITCH_VERIFIER: nil for the
// standard library. A reload makes new tables, which take milliseconds.
func (s *Sidecar) verifyFunc(by string, ring *webhook.KeyRing) (func(ed25519.PublicKey, []byte, []byte) bool, error) {
	if by != config.VerifyFast && by != config.VerifyShadow {
		return nil, nil
	}
	fast, err := fastverify.New(ring.Keys()...)
	if err != nil {
		return nil, err
	}
	if by == config.VerifyFast {
		return fast.Verify, nil
	}
	return fast.Shadow(s.verdictsDiffer), nil
}

// verdictsDiffer reports a bug of package fastverify. The line has all that a
// check is computed from, and nothing of the message, which is a customer's.
func (s *Sidecar) verdictsDiffer(d fastverify.Difference) {
	s.observe.metrics.VerdictsDiffer()
	digest := sha512.Sum512(slices.Concat(d.Signature[:min(32, len(d.Signature))], d.Public, d.Message))
	s.log.Error("the fast verifier has another verdict than the standard library, which decided",
		"code", telemetry.CodeVerdictsDiffer, "valid", d.Standard,
		"public_key", hex.EncodeToString(d.Public), "signature", hex.EncodeToString(d.Signature), "digest", hex.EncodeToString(digest[:]))
}
