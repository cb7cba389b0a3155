// Package telnyx plays Telnyx, and the app behind a sidecar, in tests of a whole
// deployment: a sender that tries again as Telnyx does, and an app that counts.
// Together they say whether an event was lost or came twice.
package telnyx

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// Timeout is how long Telnyx waits for an answer.
const Timeout = 2 * time.Second

// Telnyx sends webhooks. It is safe for concurrent use.
type Telnyx struct {
	URL    string // of the sidecar or a proxy, without a path
	Key    ed25519.PrivateKey
	Client *http.Client
	Wait   time.Duration // for each answer to Persist; 0 means Timeout
}

// New returns a Telnyx with a new key.
func New(url string) (*Telnyx, error) {
	_, key, err := ed25519.GenerateKey(nil)
	return &Telnyx{URL: url, Key: key, Client: &http.Client{Transport: new(http.Transport)}}, err
}

// PublicKey returns the key for TELNYX_PUBLIC_KEY.
func (t *Telnyx) PublicKey() string {
	return base64.StdEncoding.EncodeToString(t.Key.Public().(ed25519.PublicKey))
}

// Event returns the body of an event with an id, of about a size, as genuine ones
// look.
func Event(id string, attempt, size int) []byte {
	body := fmt.Appendf(nil, `{"data":{"event_type":"message.received","id":%q,"occurred_at":"2026-11-01T12:00:00Z","payload":{"text":"`, id)
	tail := fmt.Sprintf(`"},"record_type":"event"},"meta":{"attempt":%d,"delivered_to":"https://hooks.example.com/webhooks"}}`, attempt)
	body = append(body, strings.Repeat("é ", max(0, size-len(body)-len(tail))/3)...)
	return append(body, tail...)
}

// Send sends a signed body to a path, with more headers in pairs, and returns the
// status of the answer.
func (t *Telnyx) Send(ctx context.Context, path string, body []byte, header ...string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	timestamp, signature := webhook.Sign(t.Key, time.Now(), body)
	req.Header.Set(webhook.HeaderTimestamp, timestamp)
	req.Header.Set(webhook.HeaderSignature, signature)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := t.Client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}

// Persist sends an event until it is acknowledged, signs each attempt anew, and says
// in it which it is. It returns how many it took. It gives up after a minute, or
// when the answer says that no attempt will do.
func (t *Telnyx) Persist(ctx context.Context, id string, size int) (tries int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return tries, err
		case <-wait.C:
		}
		tries++
		var status int
		answer, stop := context.WithTimeout(ctx, cmp.Or(t.Wait, Timeout))
		status, err = t.Send(answer, "/webhooks", Event(id, tries, size))
		stop()
		switch {
		case status == http.StatusOK:
			return tries, nil
		case err == nil:
			err = fmt.Errorf("answered %d", status)
			if status < 500 {
				return tries, err
			}
		}
		wait.Reset(time.Duration(min(tries, 10)) * 50 * time.Millisecond)
	}
}
