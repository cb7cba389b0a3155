package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"
)

// The headers of a signed request, in the canonical form of net/http. Their
// names have no fixed case on the wire.
const (
	HeaderTimestamp = "Telnyx-Timestamp"         // Unix time in seconds, decimal
	HeaderSignature = "Telnyx-Signature-Ed25519" // base64 of 64 bytes
)

// Sign returns the values of [HeaderTimestamp] and [HeaderSignature] for a
// body sent at the given moment. Telnyx signs the timestamp, a vertical bar
// and the body (Telnyx API v2, webhook signing).
func Sign(key ed25519.PrivateKey, at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	p := proof{timestamp: timestamp}
	message := append(p.appendPrefix(make([]byte, 0, p.prefixLen()+len(body))), body...)
	return timestamp, base64.StdEncoding.EncodeToString(ed25519.Sign(key, message))
}

// A Scheme is a way of signing requests. The zero value is Telnyx's.
type Scheme int

const (
	// SchemeTelnyx is Telnyx's scheme: [HeaderTimestamp] and
	// [HeaderSignature], over "timestamp|body".
	SchemeTelnyx Scheme = iota

	// SchemeStandardWebhooks is the asymmetric scheme of the Standard
	// Webhooks specification: webhook-id, webhook-timestamp and
	// webhook-signature ("v1a," and base64, several separated by spaces),
	// over "id.timestamp.body". Telnyx does not send it; other services do.
	SchemeStandardWebhooks
)

// String returns "telnyx" or "standard-webhooks".
func (s Scheme) String() string {
	if s == SchemeStandardWebhooks {
		return "standard-webhooks"
	}
	return "telnyx"
}

type signature = [ed25519.SignatureSize]byte

// proof holds the claims of a request's headers, before they are checked.
type proof struct {
	id        string // webhook-id of Standard Webhooks, "" in Telnyx's scheme
	timestamp string // as sent: it is part of the signed message
	at        time.Time
	skew      time.Duration
	signature signature
	others    []signature // further ones, of Standard Webhooks

	age, limit int64 // seconds, if the timestamp is outside of the tolerance
}

// prefixLen returns the length of what appendPrefix appends.
func (p *proof) prefixLen() int {
	if p.id == "" {
		return len(p.timestamp) + 1
	}
	return len(p.id) + 1 + len(p.timestamp) + 1
}

// appendPrefix appends the part of the signed message that precedes the body.
func (p *proof) appendPrefix(b []byte) []byte {
	if p.id == "" {
		return append(append(b, p.timestamp...), '|')
	}
	b = append(append(b, p.id...), '.')
	return append(append(b, p.timestamp...), '.')
}

// parse does every check that needs only the headers.
func (p *proof) parse(h http.Header, scheme Scheme, now time.Time, tolerance time.Duration) *Error {
	var err *Error
	var signatureText string
	if scheme == SchemeStandardWebhooks {
		signatureText, err = p.standardHeaders(h)
	} else {
		signatureText, err = p.telnyxHeaders(h)
	}
	if err != nil {
		return err
	}
	if err := p.checkTime(now, tolerance); err != nil {
		return err
	}
	if scheme == SchemeStandardWebhooks {
		return p.parseStandardSignatures(signatureText)
	}
	if !decodeSignature(&p.signature, signatureText) {
		return malformedSignature
	}
	return nil
}

// The rejections that need no detail of the request are made once, so that a
// flood of bad requests allocates nothing.
var (
	malformedSignature = reject(ErrMalformed, HeaderSignature+" is not the standard base64 of 64 bytes")
	malformedTimestamp = reject(ErrMalformed, "the timestamp is not a decimal number of seconds")
	tooOld             = reject(ErrTimestampTooOld, "")
	tooNew             = reject(ErrTimestampTooNew, "")
	repeatedHeader     = reject(ErrMalformed, "a signature header is present more than once")
	noTimestamp        = reject(ErrNoSignature, "no "+HeaderTimestamp+" header: is the sender Telnyx, and does every proxy pass the header on?")
	noSignature        = reject(ErrNoSignature, "no "+HeaderSignature+" header: is the sender Telnyx, and does every proxy pass the header on?")
)

func (p *proof) telnyxHeaders(h http.Header) (signatureText string, err *Error) {
	timestamps, signatures := h[HeaderTimestamp], h[HeaderSignature]
	switch {
	case len(timestamps) == 0:
		return "", noTimestamp
	case len(signatures) == 0:
		return "", noSignature
	case len(timestamps) > 1 || len(signatures) > 1:
		return "", repeatedHeader
	}
	p.timestamp = timestamps[0]
	return signatures[0], nil
}

// checkTime parses the timestamp and holds it against the clock.
func (p *proof) checkTime(now time.Time, tolerance time.Duration) *Error {
	seconds, ok := parseSeconds(p.timestamp)
	if !ok {
		return malformedTimestamp
	}
	p.age = now.Unix() - seconds // neither side exceeds 18 digits: cannot overflow
	p.limit = int64(tolerance / time.Second)
	switch {
	case p.age > p.limit:
		return tooOld
	case -p.age > p.limit:
		return tooNew
	}
	p.at = time.Unix(seconds, 0)
	p.skew = now.Sub(p.at)
	return nil
}

// parseSeconds accepts 1 to 18 digits and nothing else: no sign, no space.
func parseSeconds(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// strictBase64 refuses padding bits that are not zero.
var strictBase64 = base64.StdEncoding.Strict()

func decodeSignature(dst *signature, s string) bool {
	if len(s) != 88 { // the base64 of 64 bytes
		return false
	}
	var src [88]byte // Decode wants bytes; a conversion would allocate
	copy(src[:], s)
	var buf [66]byte // two bytes of slack: Decode may write the padding's place
	n, err := strictBase64.Decode(buf[:], src[:])
	if err != nil || n != ed25519.SignatureSize {
		return false // line breaks are skipped by Decode, so n also refuses those
	}
	copy(dst[:], buf[:])
	// The scalar S is below 2²⁵³: most junk ends here, for nothing.
	return dst[63]&0xe0 == 0
}
