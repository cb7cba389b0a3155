// Package forward delivers events by HTTP to an application of any language.
//
// A [Forward] is a target of the dispatcher. Each attempt sends the received
// body byte for byte to one URL, signed anew with the sidecar's own key: the
// application verifies it with any Telnyx SDK, as if Telnyx had just sent it,
// even when it is a retry of yesterday's event.
//
// # What an answer means
//
//   - any 2xx: delivered. Telnyx asks for exactly 200, but applications that
//     answer 201 or 204 mean success, and a repetition would help nobody;
//   - 410 Gone: a dead letter, the application says that it will never want it;
//   - everything else, redirects and other 4xx included, and no answer at all:
//     a retry by schedule, or not before Retry-After if the answer has one. An
//     hour in which the application answers 401 or 404, because it was deployed
//     wrongly, must not lose events. [RetryOn] can make it a dead letter.
//
// Redirects are not followed: a signed event goes to the configured URL and
// nowhere else.
package forward

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Config describes one application. URL is required, and Key for Resign.
type Config struct {
	// Name tells forwards apart; the target is "forward:NAME". Empty means
	// "default".
	Name string

	// URL is where events are sent, http or https. A user and password in
	// it are sent as basic authentication, and never logged or recorded.
	URL string

	// Patterns are the event types that the application wants: exact,
	// "message.*" or "*". None means all.
	Patterns []string

	// Key signs requests. The application verifies with its public half.
	Key ed25519.PrivateKey

	// Sign is how requests are signed. The zero value is Resign.
	Sign Sign

	// RetryOn decides which failures are worth another attempt.
	RetryOn RetryOn

	// Header is sent with every request, and neither logged nor recorded.
	Header http.Header

	// Timeout bounds an attempt, from connecting to the response header.
	// 0 means 30 seconds.
	Timeout time.Duration

	// UserAgent is sent as User-Agent. Empty means "hookswitch".
	UserAgent string

	// RootCAs are the authorities that an https application's certificate
	// may come from. nil means those of the system.
	RootCAs *x509.CertPool

	Attempts *telemetry.Attempts // watches attempts; nil: nothing does
	Log      *slog.Logger        // nil discards
}

// Sign is how requests are signed.
type Sign int

// The ways to sign.
const (
	Resign      Sign = iota // with Config.Key and the time of the attempt: a retry verifies too
	Passthrough             // as received: verifies with Telnyx's key, for five minutes
	Unsigned                // not at all
)

// Forward sends events to one application. Its methods are safe for concurrent
// use. Its creator calls Close.
type Forward struct {
	cfg       Config        // with the defaults in it
	name      string        // of the target
	url       string        // without user and password
	addr      string        // its host and port
	shown     string        // url as records have it
	user      *url.Userinfo // nil if there is none
	transport *http.Transport
	fresh     *http.Transport // for requests that must not use a kept connection
}

// New returns a Forward. It does not connect: an application may start later
// than its sidecar.
func New(cfg Config) (*Forward, error) {
	f := &Forward{cfg: cfg, name: cmp.Or(cfg.Name, "default")}
	f.cfg.Patterns, f.cfg.Header = slices.Clone(cfg.Patterns), canonical(cfg.Header)
	if strings.ContainsAny(f.name, ": /\t\r\n") {
		return nil, fmt.Errorf("forward: name %q has a colon, a slash or a space in it: use letters, digits and dashes", f.name)
	}
	f.name = delivery.Forward.Target(f.name)
	u, err := parseURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	f.user, u.User = u.User, nil
	f.url, f.shown = u.String(), shown(u)
	f.addr = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]))

	if f.cfg.Sign == Resign && len(f.cfg.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%s: the signing key has %d bytes, not %d: pass an Ed25519 private key, such as one from ed25519.NewKeyFromSeed and a 32-byte seed", f.name, len(f.cfg.Key), ed25519.PrivateKeySize)
	}
	if f.cfg.Timeout < 0 {
		return nil, fmt.Errorf("%s: timeout %v is negative: leave it 0 for 30s", f.name, f.cfg.Timeout)
	}
	f.cfg.Timeout = cmp.Or(f.cfg.Timeout, 30*time.Second)
	f.cfg.UserAgent = cmp.Or(f.cfg.UserAgent, "hookswitch")
	if len(f.cfg.Patterns) == 0 {
		f.cfg.Patterns = []string{"*"}
	}
	for _, p := range f.cfg.Patterns {
		if err := event.CheckPattern(p); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	f.cfg.Log = cmp.Or(f.cfg.Log, slog.New(slog.DiscardHandler))
	f.transport, f.fresh = newTransport(cfg.RootCAs), newTransport(cfg.RootCAs)
	f.fresh.DisableKeepAlives = true
	return f, nil
}

// parseURL does not repeat the URL in its errors, since it may hold a password.
func parseURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("no URL: give the address of your application, such as http://127.0.0.1:5000/webhooks")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be parsed: write it like http://127.0.0.1:5000/webhooks, with special characters of a password percent-encoded")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the URL has the scheme %q: begin it with http:// or https://", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("the URL names no host: write it like http://127.0.0.1:5000/webhooks")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// shown returns a URL as records have it: a query may hold a token.
func shown(u *url.URL) string {
	plain := *u
	if plain.RawQuery != "" {
		plain.RawQuery = "***"
	}
	return plain.String()
}

// newTransport does not use the environment's proxy: the application is a
// neighbour, and only its configuration configures the sidecar.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // responses are recorded as they are
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Name returns "forward:NAME".
func (f *Forward) Name() string { return f.name }

// Patterns returns the configured patterns. The caller does not modify them.
func (f *Forward) Patterns() []string { return f.cfg.Patterns }

// Drain does nothing: an attempt never waits for the application to be ready.
func (f *Forward) Drain() {}

// Close closes idle connections. Attempts under way are not affected.
func (f *Forward) Close() {
	f.transport.CloseIdleConnections()
	f.fresh.CloseIdleConnections()
}

// Deliver sends the event once and reports the result. It returns an error,
// ctx's, only if ctx ended before there was a connection to send on.
func (f *Forward) Deliver(ctx context.Context, t delivery.Task) (delivery.Attempt, error) {
	if ctx.Err() != nil {
		return delivery.Attempt{}, ctx.Err()
	}
	a := delivery.Attempt{StartedAt: time.Now(), RequestURL: f.shown}
	defer f.cfg.Attempts.Begin(f.name, t.Event.ID, f.cfg.Timeout)()
	sending, cancel := context.WithTimeoutCause(ctx, f.cfg.Timeout, errTimeout)
	defer cancel()
	sending, progress := watch(sending)

	req, err := f.newRequest(sending, t, a.StartedAt)
	if err != nil {
		a.Outcome, a.ErrorCodes, a.Error = delivery.OutcomeFailed, []int{codeGeneric}, fmt.Sprintf("the event cannot be sent by HTTP: %v", err)
		a.FinishedAt = time.Now()
		return a, nil
	}
	// RoundTrip is one request and one response; a Client would follow
	// redirects.
	resp, err := f.roundTrip(req, progress)
	if err != nil && ctx.Err() != nil && !progress.connected() {
		return delivery.Attempt{}, ctx.Err()
	}
	if progress.connected() {
		a.RequestHeader = f.recordRequest(req)
	}
	if err != nil {
		f.fail(&a, err, context.Cause(sending), progress)
	} else {
		f.answered(&a, resp, cancel)
	}
	a.FinishedAt = time.Now()
	f.cfg.Log.DebugContext(ctx, "forwarded", "target", f.name, "delivery_id", t.Event.DeliveryID, "event_id", t.Event.ID, "attempt", t.Job.Attempts+1, "status", a.ResponseStatus, "outcome", a.Outcome, "took", a.FinishedAt.Sub(a.StartedAt))
	return a, nil
}

// Reach connects to the application, and disconnects.
func (f *Forward) Reach(ctx context.Context) error {
	conn, err := f.transport.DialContext(ctx, "tcp", f.addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
