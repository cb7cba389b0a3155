package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultMaxBody is the largest body that a [Verifier] reads unless told
// otherwise: 1 MiB. Telnyx documents no limit; the largest known body is
// under 20 kB, but transcripts have no bound.
const DefaultMaxBody = 1 << 20

// Verifier lets genuine Telnyx webhooks pass and rejects everything else. The
// zero value rejects everything, because it has no keys. Set the fields before
// the first request; a Verifier is then safe for concurrent use and must not
// be copied.
type Verifier struct {
	// Keys are the public keys that a webhook may be signed with.
	Keys *KeyRing

	// Tolerance is how far the timestamp may lie in the past or in the
	// future, in whole seconds, inclusive. 0 means [DefaultTolerance].
	Tolerance time.Duration

	// MaxBody is the size in bytes above which a body is rejected without
	// reading on. 0 means [DefaultMaxBody].
	MaxBody int64

	deny atomic.Pointer[http.Handler] // nil: the default
}

// SetDenyHandler sets what answers a rejected request. The handler finds the
// reason in [Denial]; it must not answer with a 2xx status, which Telnyx takes
// for success. A nil handler restores the default: the status of the error
// (401, 405, 413, 415, or 503 without keys) and an application/problem+json
// body that names the reason.
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
		e, err := v.Check(r)
		if err == nil {
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), e)))
			return
		}
		denial, _ := errors.AsType[*Error](err) // Check returns no other type
		r = r.WithContext(context.WithValue(r.Context(), denialKey, denial))
		if h := v.deny.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		Deny(w, r)
	})
}

// Check returns the event that r carries, or an error (an *[Error]) if r is
// not a genuine webhook. It reads the body, and leaves in its place one that
// can be read again from the start.
//
// The checks run in the order of their cost: method, encoding, declared
// length, headers, timestamp, and only then the body and its signature.
func (v *Verifier) Check(r *http.Request) (*Event, error) {
	if len(v.Keys.load()) == 0 {
		return nil, reject(ErrNoKeys, "set Verifier.Keys")
	}
	if r.Method != http.MethodPost {
		// The signature of a GET covers no query, so it proves nothing.
		return nil, reject(ErrMethod, r.Method)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, reject(ErrEncoding, "Telnyx signs and sends plain bytes; a proxy must not compress them")
	}
	maxBody := v.MaxBody
	if maxBody <= 0 {
		maxBody = DefaultMaxBody
	}
	if r.ContentLength > maxBody {
		return nil, reject(ErrTooLarge, fmt.Sprintf("%d bytes announced, the limit is %d", r.ContentLength, maxBody))
	}
	p, err := parseProof(r.Header, time.Now(), v.tolerance())
	if err != nil {
		return nil, err
	}
	// The body is read behind the prefix, so that the signed message is in
	// one piece without copying the body.
	message, err := readBody(r, p.timestamp, maxBody)
	if err != nil {
		return nil, err
	}
	return v.verified(p, message, r.Header)
}

// Verify returns the event in body, or an error (an *[Error]) if the
// signature headers in h do not prove that it is a genuine webhook. It is
// [Verifier.Check] without HTTP, for frameworks that hand over headers and
// bytes. Header names in h must be in canonical form, as [http.Header.Set]
// makes them. The event keeps body and h, which must not change afterwards.
func (v *Verifier) Verify(h http.Header, body []byte) (*Event, error) {
	if len(v.Keys.load()) == 0 {
		return nil, reject(ErrNoKeys, "set Verifier.Keys")
	}
	p, err := parseProof(h, time.Now(), v.tolerance())
	if err != nil {
		return nil, err
	}
	return v.verified(p, append(signedPrefix(p.timestamp, len(body)), body...), h)
}

func (v *Verifier) tolerance() time.Duration {
	if v.Tolerance == 0 {
		return DefaultTolerance
	}
	return max(v.Tolerance, 0)
}

// verified checks the signature of a message, which is the signed prefix
// followed by the body, and only then looks into the body.
func (v *Verifier) verified(p *proof, message []byte, h http.Header) (*Event, error) {
	keys := v.Keys.load()
	key, ok := match(keys, message, p.signature[:])
	if !ok {
		return nil, reject(ErrBadSignature, fmt.Sprintf("tried %d key(s): %s", len(keys), strings.Join(v.Keys.Labels(), ", ")))
	}
	body := message[len(p.timestamp)+1:]
	e := Decode(h.Get("Content-Type"), body)
	e.Header = h
	e.Signature = Signature{Scheme: "telnyx", KeyLabel: key.Label, Timestamp: p.at, Skew: p.skew}
	return e, nil
}

// readBody returns the signed prefix followed by the body of r, and makes the
// body readable again. It grows its buffer with what arrives, so that a
// sender who announces much and sends little costs little.
func readBody(r *http.Request, timestamp string, maxBody int64) ([]byte, error) {
	const step = 4 << 10
	room := int64(step)
	if 0 <= r.ContentLength && r.ContentLength < step {
		room = r.ContentLength + 1 // one more byte, to see the end without growing
	}
	buf := signedPrefix(timestamp, int(room))
	prefix := len(buf)
	var err error
	for r.Body != nil && err == nil && int64(len(buf)-prefix) <= maxBody {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		var n int
		n, err = r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
	}
	if tooLarge := (*http.MaxBytesError)(nil); int64(len(buf)-prefix) > maxBody || errors.As(err, &tooLarge) {
		return nil, reject(ErrTooLarge, fmt.Sprintf("the limit is %d bytes", maxBody))
	}
	if err != nil && err != io.EOF {
		return nil, reject(ErrBody, err.Error())
	}
	if r.Body != nil {
		_ = r.Body.Close() // it was read to the end; nothing is left to fail
	}
	// The capacity ends with the body: an append by the next handler copies.
	body := buf[prefix:len(buf):len(buf)]
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return buf[:len(buf):len(buf)], nil
}
