package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// The reasons why a request is rejected. Every error of
// [Verifier.Check] and [Verifier.Verify] is one of them, by errors.Is.
var (
	ErrNoKeys          = errors.New("no public key is configured")
	ErrMethod          = errors.New("method is not POST")
	ErrEncoding        = errors.New("body is compressed")
	ErrTooLarge        = errors.New("body is too large")
	ErrBody            = errors.New("body could not be read")
	ErrNoSignature     = errors.New("signature headers are missing")
	ErrMalformed       = errors.New("signature headers are malformed")
	ErrTimestampTooOld = errors.New("timestamp is too old")
	ErrTimestampTooNew = errors.New("timestamp is in the future")
	ErrBadSignature    = errors.New("signature matches no key")
)

// Error is the error of a rejected request. It says more than the sentinel
// that it wraps, and never contains the body, a key or a signature.
type Error struct {
	// Reason is a stable word, usable as a metric label: no_keys, method,
	// encoding, too_large, body, missing_header, malformed, too_old,
	// in_future or bad_signature.
	Reason string

	// Status is the HTTP status that the default deny handler answers.
	Status int

	err    error  // one of the sentinels
	detail string // what exactly, and what to do; may be empty

	age, limit int64 // seconds, of a timestamp outside of the tolerance
}

func (e *Error) Error() string {
	detail := e.detail
	switch e.err {
	case ErrTimestampTooOld:
		detail = fmt.Sprintf("signed %d s ago, tolerance %d s: was it queued or replayed in transit, or is this machine's clock fast?", e.age, e.limit)
	case ErrTimestampTooNew:
		detail = fmt.Sprintf("signed %d s ahead, tolerance %d s: is this machine's clock slow, or the timestamp in milliseconds?", -e.age, e.limit)
	}
	if detail == "" {
		return "webhook: " + e.err.Error()
	}
	return "webhook: " + e.err.Error() + ": " + detail
}

// unless returns the same rejection with another, likelier detail, if that is
// not empty.
func (e *Error) unless(detail string) *Error {
	if detail == "" {
		return e
	}
	return reject(e.err, detail)
}

// Unwrap returns the sentinel, such as [ErrBadSignature].
func (e *Error) Unwrap() error { return e.err }

// rejections gives each sentinel its reason word and status. Our own failures
// are a 503, which Telnyx retries; a 4xx may never be sent again.
var rejections = map[error]struct {
	reason string
	status int
}{
	ErrNoKeys:          {"no_keys", http.StatusServiceUnavailable},
	ErrMethod:          {"method", http.StatusMethodNotAllowed},
	ErrEncoding:        {"encoding", http.StatusUnsupportedMediaType},
	ErrTooLarge:        {"too_large", http.StatusRequestEntityTooLarge},
	ErrBody:            {"body", http.StatusRequestTimeout},
	ErrNoSignature:     {"missing_header", http.StatusUnauthorized},
	ErrMalformed:       {"malformed", http.StatusUnauthorized},
	ErrTimestampTooOld: {"too_old", http.StatusUnauthorized},
	ErrTimestampTooNew: {"in_future", http.StatusUnauthorized},
	ErrBadSignature:    {"bad_signature", http.StatusUnauthorized},
}

func reject(sentinel error, detail string) *Error {
	r := rejections[sentinel]
	return &Error{Reason: r.reason, Status: r.status, err: sentinel, detail: detail}
}

// Denial returns why a request was rejected, for use in a deny handler
// ([Verifier.SetDenyHandler]). It is nil anywhere else.
func Denial(ctx context.Context) *Error {
	e, _ := ctx.Value(denialKey).(*Error)
	return e
}

// Deny is the default deny handler. The sender learns the reason word and
// nothing else; the full error is for the log of the receiver. A deny handler
// of your own may call it after it has logged or counted.
func Deny(w http.ResponseWriter, r *http.Request) {
	e := Denial(r.Context())
	if e == nil {
		e = reject(ErrNoSignature, "")
	}
	h := w.Header()
	switch e.Status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusUnsupportedMediaType:
		h.Set("Accept-Encoding", "identity")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	writeProblem(w, e.Status, e.Reason, e.err.Error())
}

// writeProblem answers in the form of RFC 9457.
func writeProblem(w http.ResponseWriter, status int, reason, title string) {
	body, _ := json.Marshal(struct { // strings and an int: cannot fail
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
	}{"urn:hookswitch:problem:" + reason, title, status})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
