package forward

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// passedOn reports whether a received header is sent to the application. It is a
// list of the allowed ones: proxies in front of the sidecar add headers that an
// application believes when they come from a neighbour (X-Forwarded-For,
// X-Real-Ip, Authorization, Cookie, a CDN's own), and the signature does not
// cover headers, so the sender could have written them.
//
// Allowed are the headers that describe the body, those of tracing, and Telnyx's
// own except the signature, which is replaced.
func passedOn(name string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Content-Type", "Content-Encoding", "Content-Language",
		"Traceparent", "Tracestate", "X-Request-Id":
		return true
	}
	return !isSignature(name) && strings.HasPrefix(name, "Telnyx-")
}

func isSignature(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return name == http.CanonicalHeaderKey(webhook.HeaderTimestamp) || name == http.CanonicalHeaderKey(webhook.HeaderSignature)
}

// newRequest builds the request for one attempt:
//
//	telnyx-timestamp, telnyx-signature-ed25519   of this attempt, by our key, unless Config.Sign says otherwise
//	webhook-id                      the event's id, the same on every attempt
//	hookswitch-delivery-id          its id in webhook_deliveries
//	hookswitch-attempt              1, 2, ...
//	traceparent                     of this attempt, if the sidecar traces
//	hookswitch-original-timestamp   when Telnyx signed it, Unix seconds
func (f *Forward) newRequest(ctx context.Context, t delivery.Task, now time.Time) (*http.Request, error) {
	e := t.Event
	req, err := http.NewRequestWithContext(ctx, cmp.Or(e.Method, http.MethodPost), f.url, bytes.NewReader(e.Body))
	if err != nil {
		return nil, err
	}
	for _, h := range e.Header {
		if passedOn(h[0]) && isText(h[1]) {
			req.Header.Add(h[0], h[1])
		}
	}
	if parent := telemetry.Traceparent(ctx); parent != "" {
		// The sender's own value means nothing in our trace.
		req.Header.Set("Traceparent", parent)
		req.Header.Del("Tracestate")
	}
	switch f.cfg.Sign {
	case Resign:
		timestamp, signature := webhook.Sign(f.cfg.Key, now, e.Body)
		req.Header.Set(webhook.HeaderTimestamp, timestamp)
		req.Header.Set(webhook.HeaderSignature, signature)
	case Passthrough:
		for _, h := range e.Header {
			if isSignature(h[0]) && isText(h[1]) {
				req.Header.Add(h[0], h[1])
			}
		}
	}
	id := e.ID
	if id == "" || len(id) > 256 || !isText(id) {
		id = e.DeliveryID // an id is any JSON string; a header is not
	}
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Hookswitch-Delivery-Id", e.DeliveryID)
	req.Header.Set("Hookswitch-Attempt", strconv.Itoa(t.Job.Attempts+1))
	if !e.SignedAt.IsZero() {
		req.Header.Set("Hookswitch-Original-Timestamp", strconv.FormatInt(e.SignedAt.Unix(), 10))
	}
	req.Header.Set("User-Agent", f.cfg.UserAgent)
	for name, values := range f.cfg.Header {
		req.Header[name] = values
	}
	if f.user != nil {
		password, _ := f.user.Password()
		req.SetBasicAuth(f.user.Username(), password)
	}
	return req, nil
}

// isText reports whether s can be a header value: printable ASCII.
func isText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// recordRequest returns the headers of a request as sent, without the password
// and the configured ones.
func (f *Forward) recordRequest(req *http.Request) [][2]string {
	h := req.Header.Clone()
	h.Del("Authorization")
	for name := range f.cfg.Header {
		h.Del(name)
	}
	h.Set("Host", req.URL.Host)
	h.Set("Content-Length", strconv.FormatInt(req.ContentLength, 10))
	return delivery.ClipHeader(delivery.ListHeader(h))
}
