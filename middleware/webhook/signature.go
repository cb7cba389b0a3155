package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
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

// DefaultTolerance is the tolerance of every official Telnyx SDK.
const DefaultTolerance = 300 * time.Second

// Sign returns the values of [HeaderTimestamp] and [HeaderSignature] for a
// body sent at the given moment. Telnyx signs the timestamp, a vertical bar
// and the body (Telnyx API v2, webhook signing).
func Sign(key ed25519.PrivateKey, at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	message := append(signedPrefix(timestamp, len(body)), body...)
	return timestamp, base64.StdEncoding.EncodeToString(ed25519.Sign(key, message))
}

// signedPrefix returns the part of the signed message that precedes the body,
// with room for a body of n bytes.
func signedPrefix(timestamp string, n int) []byte {
	b := make([]byte, 0, len(timestamp)+1+n)
	b = append(b, timestamp...)
	return append(b, '|')
}

// proof is what the headers of a request claim, before it is checked.
type proof struct {
	timestamp string // as sent: it is part of the signed message
	at        time.Time
	skew      time.Duration
	signature [ed25519.SignatureSize]byte
}

// parseProof does every check that needs the headers only.
func parseProof(h http.Header, now time.Time, tolerance time.Duration) (*proof, error) {
	timestamps, signatures := h[HeaderTimestamp], h[HeaderSignature]
	if len(timestamps) == 0 || len(signatures) == 0 {
		missing := HeaderTimestamp
		if len(timestamps) > 0 {
			missing = HeaderSignature
		}
		return nil, reject(ErrNoSignature, "no "+missing+" header: is the sender Telnyx, and does every proxy pass the header on?")
	}
	if len(timestamps) > 1 || len(signatures) > 1 {
		return nil, reject(ErrMalformed, "a signature header is present more than once")
	}
	p := &proof{timestamp: timestamps[0]}
	seconds, ok := parseSeconds(p.timestamp)
	if !ok {
		return nil, reject(ErrMalformed, HeaderTimestamp+" is not a decimal number of seconds")
	}
	age := now.Unix() - seconds // neither side exceeds 18 digits: cannot overflow
	limit := int64(tolerance / time.Second)
	switch {
	case age > limit:
		return nil, reject(ErrTimestampTooOld, fmt.Sprintf("signed %d s ago, tolerance %d s: was it queued or replayed on the way, or is the clock of this machine fast?", age, limit))
	case -age > limit:
		return nil, reject(ErrTimestampTooNew, fmt.Sprintf("signed %d s ahead, tolerance %d s: is the clock of this machine slow, or the timestamp in milliseconds?", -age, limit))
	}
	p.at = time.Unix(seconds, 0)
	p.skew = now.Sub(p.at)
	if !decodeSignature(&p.signature, signatures[0]) {
		return nil, reject(ErrMalformed, HeaderSignature+" is not the standard base64 of 64 bytes")
	}
	return p, nil
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

func decodeSignature(dst *[ed25519.SignatureSize]byte, s string) bool {
	if len(s) != base64.StdEncoding.EncodedLen(ed25519.SignatureSize) {
		return false
	}
	// Two bytes of slack: Decode may write the padding's place.
	var buf [ed25519.SignatureSize + 2]byte
	n, err := strictBase64.Decode(buf[:], []byte(s))
	if err != nil || n != ed25519.SignatureSize {
		return false // line breaks are skipped by Decode, so n also refuses those
	}
	copy(dst[:], buf[:])
	return true
}

// match returns the first key under which the signature of message is valid.
func match(keys []Key, message []byte, signature []byte) (Key, bool) {
	for _, k := range keys {
		if ed25519.Verify(k.Public, message, signature) {
			return k, true
		}
	}
	return Key{}, false
}
