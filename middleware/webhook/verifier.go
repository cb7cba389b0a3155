package webhook

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Defaults of a [Verifier].
const (
	// DefaultTolerance is the tolerance of every official Telnyx SDK.
	DefaultTolerance = 300 * time.Second

	// DefaultMaxBody is 1 MiB. Telnyx documents no limit; the largest known
	// body is under 20 kB, but transcripts have no bound.
	DefaultMaxBody = 1 << 20

	// DefaultBodyTimeout is longer than the two seconds after which Telnyx
	// gives up, for the sake of proxies in between.
	DefaultBodyTimeout = 5 * time.Second
)

// Verifier lets genuine webhooks pass and rejects everything else. The zero
// value rejects everything, because it has no keys. Set the fields before the
// first request; a Verifier is then safe for concurrent use and must not be
// copied.
type Verifier struct {
	// Keys are the public keys that a webhook may be signed with.
	Keys *KeyRing

	// Scheme is how requests are signed; the zero value is Telnyx's. A
	// request signed in another scheme is rejected: one never falls back to
	// the other. A server that receives both has two Verifiers.
	Scheme Scheme

	// Tolerance is how far the timestamp may lie in the past or in the
	// future, in whole seconds, inclusive. 0 means [DefaultTolerance].
	Tolerance time.Duration

	// MaxBody is the size in bytes above which a body is rejected without
	// reading on. 0 means [DefaultMaxBody].
	MaxBody int64

	// BodyTimeout is how long the body may take to arrive in
	// [Verifier.Handler], so that slow senders cannot hold connections of a
	// server that has no ReadTimeout. 0 means [DefaultBodyTimeout]; a
	// negative value sets no limit. Check does not apply it.
	BodyTimeout time.Duration

	// InsecureAllowGET lets GET requests in, which Telnyx sends for TeXML if
	// a callback is configured so. Their signature covers the timestamp and
	// nothing else: anyone who has seen one can send any query for as long
	// as the tolerance lasts. [Event.Raw] is then the query.
	InsecureAllowGET bool

	// VerifyFunc checks an Ed25519 signature. Nil means [ed25519.Verify].
	// Replace it only with something that accepts exactly the same
	// signatures, such as package fastverify; it is called concurrently.
	VerifyFunc func(public ed25519.PublicKey, message, sig []byte) bool

	// Observe, if set, is called with every decision of Check, Verify and
	// Handler. It runs before the next handler and must be quick.
	Observe func(Observation)

	// Log gets a line for each request that Handler rejects, ten a second of
	// each reason at most, unless a deny handler is set, whose job that is then. Nil means
	// [slog.Default]; slog.New(slog.DiscardHandler) logs nothing.
	Log *slog.Logger

	lines lines
	deny  atomic.Pointer[http.Handler] // nil: the default
	stale atomic.Pointer[Error]        // the latest rejected timestamp, to be used again in a flood
}

// Observation is one decision of a [Verifier].
type Observation struct {
	Event   *Event        // nil if the request was rejected; Signature has the key's label and the skew
	Err     *Error        // nil if it was accepted; Reason is a word for a metric
	Bytes   int           // of the body, as far as it was read
	Elapsed time.Duration // spent on the decision, waiting for the body included
}

// SetDenyHandler sets what answers a rejected request. The handler finds the
// reason in [Denial]; it must not answer with a 2xx status, which Telnyx takes
// for success. A nil handler restores the default: a line in [Verifier.Log],
// and [Deny], which answers the status of the error (401, 405, 413, 415, or 503
// without keys) and an application/problem+json body that names the reason.
//
// It may be called at any time and applies to later requests.
func (v *Verifier) SetDenyHandler(h http.Handler) {
	if h == nil {
		v.deny.Store(nil)
		return
	}
	v.deny.Store(&h)
}

// Handler returns a handler that passes genuine webhooks on to next and has
// all other requests answered by the deny handler. The request that next sees
// has an unread body and carries the event in its context ([FromContext]).
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := v.check(r, w)
		if err != nil {
			r = r.WithContext(context.WithValue(r.Context(), denialKey, err))
			if h := v.deny.Load(); h != nil {
				(*h).ServeHTTP(w, r)
				return
			}
			v.logRejected(r, err)
			Deny(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(c))
	})
}

// Check returns the event that r carries, or an error (an *[Error]) if r is
// not a genuine webhook. It reads the body, and leaves in its place one that
// can be read again from the start.
//
// The checks run in the order of their cost: method, encoding, declared
// length, headers, timestamp, and only then the body and its signature.
func (v *Verifier) Check(r *http.Request) (*Event, error) {
	c, err := v.check(r, nil)
	if err != nil {
		return nil, err
	}
	return &c.event, nil
}

// Verify returns the event in body, or an error (an *[Error]) if the
// signature headers in h do not prove that it is a genuine webhook. It is
// [Verifier.Check] without HTTP, for frameworks that hand over headers and
// bytes. Header names in h must be in canonical form, as [http.Header.Set]
// makes them. The event keeps h, which must not change afterwards; of body it
// keeps a copy.
func (v *Verifier) Verify(h http.Header, body []byte) (*Event, error) {
	start := time.Now()
	e, err := v.verify(h, body, start)
	v.observe(e, err, len(body), start)
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (v *Verifier) verify(h http.Header, body []byte, now time.Time) (*Event, *Error) {
	if len(v.Keys.load()) == 0 {
		return nil, noKeys
	}
	if int64(len(body)) > v.maxBody() {
		return nil, v.tooLarge()
	}
	var p proof
	if err := p.parse(h, v.Scheme, now, v.tolerance()); err != nil {
		return nil, v.timed(err, &p)
	}
	c := &carrier{proof: p}
	message := append(p.appendPrefix(make([]byte, 0, p.prefixLen()+len(body))), body...)
	if err := v.decide(c, message, h, now); err != nil {
		return nil, err.unless(bodyAccident(announced(h), len(body)))
	}
	return &c.event, nil
}

// check is Check, with a w, if it comes from Handler, that may be able to
// limit how long the body takes.
func (v *Verifier) check(r *http.Request, w http.ResponseWriter) (*carrier, *Error) {
	start := time.Now()
	c, n, err := v.checkRequest(r, w, start)
	if v.Observe != nil {
		var e *Event
		if err == nil {
			e = &c.event
		}
		v.observe(e, err, n, start)
	}
	return c, err
}

var (
	noKeys     = reject(ErrNoKeys, "set Verifier.Keys")
	compressed = reject(ErrEncoding, "Telnyx signs and sends plain bytes; a proxy must not compress them")
)

// checkRequest allocates nothing before the headers have passed: a flood of
// junk ends there.
func (v *Verifier) checkRequest(r *http.Request, w http.ResponseWriter, now time.Time) (c *carrier, bytesRead int, err *Error) {
	isGET := v.InsecureAllowGET && r.Method == http.MethodGet
	if err := v.checkHead(r, isGET); err != nil {
		return nil, 0, err
	}
	var p proof
	if err := p.parse(r.Header, v.Scheme, now, v.tolerance()); err != nil {
		return nil, 0, v.timed(err, &p)
	}
	c = &carrier{Context: r.Context(), proof: p}
	if w != nil && r.ContentLength != 0 && v.BodyTimeout >= 0 {
		// Not every ResponseWriter has a deadline to set; then the server's
		// own limits are all there is.
		rc := http.NewResponseController(w)
		if rc.SetReadDeadline(now.Add(v.bodyTimeout())) == nil {
			defer func() {
				if err == nil { // a connection that broke its limit is not kept
					_ = rc.SetReadDeadline(time.Time{})
				}
			}()
		}
	}
	length := r.ContentLength
	message, err := v.readBody(r, &c.proof, &c.body)
	if err != nil {
		return nil, 0, err
	}
	bytesRead = len(c.body.rest)
	if err := v.decide(c, message, r.Header, now); err != nil {
		if !isGET { // which has no body
			err = err.unless(bodyAccident(length, bytesRead))
		}
		return nil, bytesRead, err
	}
	if isGET {
		c.event.fromQuery(r.URL.RawQuery)
	}
	return c, bytesRead, nil
}

// checkHead checks what a request announces.
func (v *Verifier) checkHead(r *http.Request, isGET bool) *Error {
	if len(v.Keys.load()) == 0 {
		return noKeys
	}
	if r.Method != http.MethodPost && !isGET {
		return reject(ErrMethod, r.Method)
	}
	if isCompressed(r.Header["Content-Encoding"]) {
		return compressed
	}
	if r.ContentLength > v.maxBody() {
		return v.tooLarge()
	}
	return nil
}

// isCompressed reports whether the values of Content-Encoding name a coding
// besides identity. Some proxies leave the header empty, or repeat it.
func isCompressed(values []string) bool {
	for _, value := range values {
		for coding := range strings.SplitSeq(value, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return true
			}
		}
	}
	return false
}

func (v *Verifier) observe(e *Event, err *Error, n int, start time.Time) {
	if v.Observe != nil {
		v.Observe(Observation{Event: e, Err: err, Bytes: n, Elapsed: time.Since(start)})
	}
}

// timed adds how far the timestamp is off to an error about it. The latest such
// error is kept and used again, so that a flood of stale requests allocates one
// a second.
func (v *Verifier) timed(err *Error, p *proof) *Error {
	if err != tooOld && err != tooNew {
		return err
	}
	if old := v.stale.Load(); old != nil && old.err == err.err && old.age == p.age && old.limit == p.limit {
		return old
	}
	own := &Error{Reason: err.Reason, Status: err.Status, err: err.err, age: p.age, limit: p.limit}
	v.stale.Store(own)
	return own
}

func (v *Verifier) tolerance() time.Duration {
	if v.Tolerance == 0 {
		return DefaultTolerance
	}
	return max(v.Tolerance, 0)
}

func (v *Verifier) maxBody() int64 {
	if v.MaxBody <= 0 {
		return DefaultMaxBody
	}
	return v.MaxBody
}

func (v *Verifier) bodyTimeout() time.Duration {
	if v.BodyTimeout == 0 {
		return DefaultBodyTimeout
	}
	return v.BodyTimeout
}

func (v *Verifier) tooLarge() *Error {
	return reject(ErrTooLarge, fmt.Sprintf("the limit is %d bytes", v.maxBody()))
}

// decide checks the signature of a message, which is the signed prefix
// followed by the body, and only then parses the body.
func (v *Verifier) decide(c *carrier, message []byte, h http.Header, now time.Time) *Error {
	e, p := &c.event, &c.proof
	key := v.match(p, message, now)
	if key == nil {
		labels := strings.Join(v.Keys.Labels(), ", ")
		return reject(ErrBadSignature, "tried the key(s) "+labels+": is it signed with another key, or was the body changed in transit?")
	}
	var contentType string
	if types := h["Content-Type"]; len(types) > 0 {
		contentType = types[0]
	}
	e.decode(contentType, message[p.prefixLen():])
	if e.ID == "" && e.Ambiguous == "" {
		e.ID = p.id // signed as well
	}
	e.Header = h
	e.Signature = Signature{Scheme: v.Scheme.String(), KeyLabel: key.Label, Timestamp: p.at, Skew: p.skew}
	return nil
}

// match returns the first key under which one of the signatures is valid.
func (v *Verifier) match(p *proof, message []byte, now time.Time) *Key {
	verify := v.VerifyFunc
	if verify == nil {
		verify = ed25519.Verify
	}
	keys := v.Keys.load()
	for i := range keys {
		k := &keys[i]
		if !k.validAt(now) {
			continue
		}
		if verify(k.Public, message, p.signature[:]) {
			return k
		}
		for j := range p.others {
			if verify(k.Public, message, p.others[j][:]) {
				return k
			}
		}
	}
	return nil
}
