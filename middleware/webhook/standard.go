package webhook

import (
	"net/http"
	"strings"
)

// The headers of Standard Webhooks, in the canonical form of net/http.
const (
	standardID        = "Webhook-Id"
	standardTimestamp = "Webhook-Timestamp"
	standardSignature = "Webhook-Signature"
)

// Bounds of what a sender of Standard Webhooks may put into its headers.
const (
	maxStandardID         = 256
	maxStandardSignatures = 8 // one for each key during a rotation
)

var (
	noStandardHeader   = reject(ErrNoSignature, "webhook-id, webhook-timestamp and webhook-signature must all be present: does the sender use Standard Webhooks, and does every proxy pass them on?")
	malformedStandard  = reject(ErrMalformed, "webhook-signature has no \"v1a,\" followed by the standard base64 of 64 bytes")
	malformedID        = reject(ErrMalformed, "webhook-id is empty, longer than 256 bytes, or has a dot or a character that is not printable")
	tooManySignatures  = reject(ErrMalformed, "webhook-signature has more than 8 signatures")
	symmetricSignature = reject(ErrMalformed, "webhook-signature has only \"v1,\" signatures, made with a shared secret: this Verifier has public keys, for \"v1a,\"")
)

func (p *proof) standardHeaders(h http.Header) (signatureText string, err *Error) {
	ids, timestamps, signatures := h[standardID], h[standardTimestamp], h[standardSignature]
	switch {
	case len(ids) == 0 || len(timestamps) == 0 || len(signatures) == 0:
		return "", noStandardHeader
	case len(ids) > 1 || len(timestamps) > 1 || len(signatures) > 1:
		return "", repeatedHeader
	case !validStandardID(ids[0]):
		return "", malformedID
	}
	p.id, p.timestamp = ids[0], timestamps[0]
	return signatures[0], nil
}

// validStandardID refuses a dot, which separates the parts of the signed
// message: with one inside, two different requests could have one message.
func validStandardID(id string) bool {
	if id == "" || len(id) > maxStandardID {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '.' {
			return false
		}
	}
	return true
}

// parseStandardSignatures collects the signatures of the kind "v1a". Others
// are for other verifiers and are passed over.
func (p *proof) parseStandardSignatures(text string) *Error {
	found, foreign, count := 0, 0, 0
	for item := range strings.SplitSeq(text, " ") {
		if item == "" {
			continue
		}
		if count++; count > maxStandardSignatures {
			return tooManySignatures
		}
		kind, value, _ := strings.Cut(item, ",")
		if kind != "v1a" {
			foreign++
			continue
		}
		var sig signature
		if !decodeSignature(&sig, value) {
			return malformedStandard
		}
		if found++; found == 1 {
			p.signature = sig
		} else {
			p.others = append(p.others, sig)
		}
	}
	switch {
	case found > 0:
		return nil
	case foreign > 0:
		return symmetricSignature
	}
	return malformedStandard
}
