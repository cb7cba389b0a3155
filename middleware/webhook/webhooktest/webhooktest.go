// Package webhooktest signs webhooks for your own tests.
//
// A [Signer] has a throw-away key: give its ring to the Verifier under test
// and its requests to the handler.
//
//	signer := webhooktest.NewSigner()
//	verifier := &webhook.Verifier{Keys: signer.Keys()}
//	req := signer.NewRequest("/webhooks", body)
//	rec := httptest.NewRecorder()
//	verifier.Handler(&mux).ServeHTTP(rec, req)
package webhooktest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// Signer signs webhooks as Telnyx does. It is safe for concurrent use.
type Signer struct {
	key ed25519.PrivateKey
}

// NewSigner returns a Signer with a new random key.
func NewSigner() *Signer {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return &Signer{key: key}
}

// Keys returns a ring that holds only the Signer's key, with the label "test".
func (s *Signer) Keys() *webhook.KeyRing {
	ring, err := webhook.NewKeyRing(webhook.Key{Label: "test", Public: s.Public()})
	if err != nil {
		panic(err) // a generated key is always acceptable
	}
	return ring
}

// Public returns the Signer's public key.
func (s *Signer) Public() ed25519.PublicKey {
	return s.key.Public().(ed25519.PublicKey)
}

// PrivateKey returns the Signer's private key.
func (s *Signer) PrivateKey() ed25519.PrivateKey { return s.key }

// NewRequest returns a server request that POSTs body, signed now.
func (s *Signer) NewRequest(target string, body []byte) *http.Request {
	return s.NewRequestAt(time.Now(), target, body)
}

// NewRequestAt is [Signer.NewRequest] with another time of signing.
func (s *Signer) NewRequestAt(at time.Time, target string, body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	s.Sign(r.Header, at, body)
	return r
}

// Sign sets the signature headers for a body in h.
func (s *Signer) Sign(h http.Header, at time.Time, body []byte) {
	timestamp, signature := webhook.Sign(s.key, at, body)
	h.Set(webhook.HeaderTimestamp, timestamp)
	h.Set(webhook.HeaderSignature, signature)
}

// SignStandard sets the headers of Standard Webhooks for a body in h.
func (s *Signer) SignStandard(h http.Header, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", timestamp)
	h.Set("Webhook-Signature", "v1a,"+s.SignMessage([]byte(id+"."+timestamp+"."+string(body))))
}

// SignMessage returns the base64 of a signature of arbitrary bytes, to build
// requests that are wrong in a way of your own.
func (s *Signer) SignMessage(message []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(s.key, message))
}

// Sample returns an example body of the event type. It panics if there is
// none: see event.Samples for those that exist.
func Sample(eventType string) []byte {
	body, ok := event.Sample(eventType)
	if !ok {
		panic(fmt.Sprintf("webhooktest: no sample for %q; there are: %v", eventType, event.Samples()))
	}
	return body
}
