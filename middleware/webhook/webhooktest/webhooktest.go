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
//
// [Signer.Send] does that in one step with a sample of any event type, and a
// [Recorder] records the events that handlers get.
package webhooktest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
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

// Set changes one field of a sample: Set("payload.text", "hi"). Paths are
// relative to "data"; see event.Edit.
func Set(path string, value any) event.Change {
	return event.Change{Path: path, Value: value}
}

// NewSampleRequest returns a server request with a sample of the event type,
// changed as given, in the content type that Telnyx uses for it, and signed
// now. It panics if there is no sample, or none with such a field.
func (s *Signer) NewSampleRequest(target, eventType string, changes ...event.Change) *http.Request {
	body, contentType := Sample(eventType), event.SampleContentType(eventType)
	if len(changes) > 0 {
		var err error
		if body, err = event.Edit(body, contentType, changes...); err != nil {
			panic(err)
		}
	}
	r := s.NewRequest(target, body)
	r.Header.Set("Content-Type", contentType)
	return r
}

// Send gives a signed sample to h, a handler behind a Verifier that has the
// Signer's keys, and returns the response.
func (s *Signer) Send(h http.Handler, eventType string, changes ...event.Change) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, s.NewSampleRequest("/webhooks", eventType, changes...))
	return rec
}

// Recorder is a handler that records its events. The zero value is ready to use
// and safe for concurrent use.
type Recorder struct {
	// Err is the result of Handle.
	Err error

	mu     sync.Mutex
	events []*webhook.Event
}

// Handle records e. Register it: mux.Handle("*", recorder.Handle).
func (r *Recorder) Handle(_ context.Context, e *webhook.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return r.Err
}

// Events returns the events so far.
func (r *Recorder) Events() []*webhook.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Sample returns an example body of the event type. It panics if there is
// none: see event.Samples for those that exist.
func Sample(eventType string) []byte {
	body, ok := event.Sample(eventType)
	if !ok {
		panic(fmt.Sprintf("webhooktest: no sample for %q; event.Samples lists them", eventType))
	}
	return body
}
