package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// Event is one webhook. Those made by a [Verifier] have passed their signature
// check; [Decode] makes one from bytes that something else vouches for.
//
// An Event is not modified after it has been handed to a handler, except for
// Warnings, and must not be modified by handlers that may run concurrently.
type Event struct {
	// ID is the event's id exactly as sent (data.id in API v2). It is empty
	// for shapes that have none. Telnyx repeats it on every retry.
	ID string

	// Type is the event type exactly as sent, such as "message.sent". Some
	// bodies name none and are given one: TeXML callbacks one that begins
	// with "texml.", a bare resource its record type, and a flat 10DLC
	// campaign "10dlc.campaign.update". It is empty for any other body
	// without a type.
	Type string

	// OccurredAt is when it happened, according to Telnyx.
	OccurredAt event.Time

	// CreatedAt is when Telnyx made the event of it. Few have it: those of an
	// assistant's conversation in a call do (data.created_at in API v2). It is
	// zero for all others.
	CreatedAt event.Time

	// Payload is the part of Raw that a typed handler receives: data.payload
	// in API v2. It is nil for a body without one, or one that is not JSON.
	Payload json.RawMessage

	// Meta describes Telnyx's own delivery attempt.
	Meta Meta

	// Raw is the request body: exactly the bytes that were signed.
	Raw []byte

	// Header is the header of the request. Only Raw and the timestamp are
	// covered by the signature; do not trust the rest.
	Header http.Header

	// Shape tells which of the forms used by Telnyx the body has.
	Shape Shape

	// Ambiguous is empty for nearly every event. Otherwise it says why two
	// JSON parsers could disagree about this body (a duplicate key, trailing
	// data, invalid UTF-8). Such an event has no Type and no ID: it reaches
	// only the catch-all handler, whole, and is never routed by a guess.
	Ambiguous string

	// Signature records how the event was verified. It is the zero value for
	// an event made by [Decode].
	Signature Signature

	// Attempt counts the tries of this handler on this event, from 1. It
	// exceeds 1 only behind the sidecar, which retries by itself.
	Attempt int

	// Warnings lists payload fields that had a surprising JSON type and were
	// left at their zero value. Raw has what was sent.
	Warnings []error
}

// Meta is the "meta" object of an API v2 webhook.
type Meta struct {
	Attempt     int    // which delivery attempt by Telnyx this is, from 1; 0 if not sent
	DeliveredTo string // the URL that Telnyx called
}

// Signature records the facts of a successful signature check.
type Signature struct {
	Scheme    string        // "telnyx"
	KeyLabel  string        // label of the key that matched
	Timestamp time.Time     // when the request was signed, by the signer's clock
	Skew      time.Duration // our clock minus Timestamp at the time of the check
}

// Key identifies the event among duplicates. It is derived from signed bytes
// only: the id if there is one (UUIDs without regard to case), else a digest
// of the body without "meta", which changes between delivery attempts.
// Two events with the same Key are the same event.
func (e *Event) Key() string {
	if e.ID != "" {
		if isUUID(e.ID) {
			return "id:" + strings.ToLower(e.ID)
		}
		return "id:" + e.ID
	}
	sum := sha256.Sum256(withoutMeta(e.Raw, e.Ambiguous != ""))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			hexDigit := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
			if !hexDigit {
				return false
			}
		}
	}
	return true
}

type contextKey int

const (
	eventKey contextKey = iota
	denialKey
)

// FromContext returns the event that a [Verifier] put into the context of a
// request, and whether there is one.
func FromContext(ctx context.Context) (*Event, bool) {
	e, ok := ctx.Value(eventKey).(*Event)
	return e, ok
}

// NewContext returns a context that carries e, as [Verifier.Handler] makes it.
// It is for servers that do their own [Verifier.Check].
func NewContext(ctx context.Context, e *Event) context.Context {
	return context.WithValue(ctx, eventKey, e)
}
