package webhook

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Explanation shows step by step why a request is genuine or not. Its String
// is made for a terminal or a log; it contains no secret, and nothing of the
// body but its length.
type Explanation struct {
	Genuine bool   // the request would be accepted
	Steps   []Step // in the order in which the checks run
	Cause   string // the likely cause in one sentence, empty if genuine or unknown
}

// Step is one check.
type Step struct {
	Name   string // the thing checked, such as "telnyx-timestamp"
	OK     bool
	Detail string
}

// String returns one line per step, and the cause.
func (x Explanation) String() string {
	var b strings.Builder
	for _, s := range x.Steps {
		mark := "ok"
		if !s.OK {
			mark = "FAILED"
		}
		fmt.Fprintf(&b, "%-26s %-7s %s\n", s.Name, mark, s.Detail)
	}
	switch {
	case x.Genuine:
		b.WriteString("the request is genuine\n")
	case x.Cause != "":
		fmt.Fprintf(&b, "likely cause: %s\n", x.Cause)
	default:
		b.WriteString("the signature fits no variant of this request: it was made with another key, the body was changed in transit, or the sender is not the expected one\n")
	}
	return b.String()
}

// Explain shows a person why a request with these headers and this body passes
// or fails. When the signature does not match, it tries what usually happens to
// webhooks in transit (a body that was parsed and printed again, line ends, a
// byte order mark, a decoded form, an altered timestamp) and names the variant
// that would have matched, or else reports a body whose length is not that of
// Content-Length. It continues after a failed check, so a request from yesterday
// can be explained too.
//
// It makes up to a few thousand signature checks: use it on demand, not for
// every rejected request. Header names may be in any case.
func (v *Verifier) Explain(h http.Header, body []byte) Explanation {
	return v.ExplainAt(time.Now(), h, body)
}

// ExplainAt is [Verifier.Explain] with the clock at another time, such as that
// at which a saved request arrived.
func (v *Verifier) ExplainAt(at time.Time, h http.Header, body []byte) Explanation {
	x := &explainer{v: v, body: body, now: at, keys: v.Keys.load()}
	header := make(http.Header, len(h)) // canonical names: the headers may come from a file
	for name, values := range h {
		for _, value := range values {
			header.Add(name, value)
		}
	}
	x.header = header
	x.explain()
	return x.Explanation
}

type explainer struct {
	Explanation
	v      *Verifier
	header http.Header
	body   []byte
	keys   []Key
	now    time.Time
	p      proof
}

func (x *explainer) step(ok bool, name, format string, args ...any) bool {
	x.Steps = append(x.Steps, Step{Name: name, OK: ok, Detail: fmt.Sprintf(format, args...)})
	return ok
}

func (x *explainer) explain() {
	if !x.step(len(x.keys) > 0, "keys", "%d configured", len(x.keys)) {
		x.Cause = "no public key is configured: set Verifier.Keys"
		return
	}
	var text string
	var err *Error
	if x.v.Scheme == SchemeStandardWebhooks {
		text, err = x.p.standardHeaders(x.header)
	} else {
		text, err = x.p.telnyxHeaders(x.header)
	}
	if err != nil {
		x.step(false, "headers", "%s", err.detail)
		x.Cause = x.missingCause(err)
		return
	}
	timely := x.explainTime()
	if x.v.Scheme == SchemeStandardWebhooks {
		err = x.p.parseStandardSignatures(text)
	} else if !decodeSignature(&x.p.signature, text) {
		err = malformedSignature
	}
	if err != nil {
		x.step(false, "signature", "%s", err.detail)
		x.Cause = signatureCause(text)
		return
	}
	x.step(true, "signature", "64 bytes, standard base64")
	tooLong := int64(len(x.body)) > x.v.maxBody()
	x.step(!tooLong, "body", "%d bytes, the limit is %d", len(x.body), x.v.maxBody())
	x.step(true, "signed text", "%q and %d body bytes", x.p.appendPrefix(nil), len(x.body))
	if x.explainKeys() {
		x.Genuine = timely && !tooLong
		return
	}
	if cause := x.findAccident(); cause != "" {
		x.Cause = cause
	}
}

func (x *explainer) missingCause(err *Error) string {
	other := SchemeStandardWebhooks
	if x.v.Scheme == SchemeStandardWebhooks {
		other = SchemeTelnyx
	}
	var p proof
	if p.parse(x.header, other, x.now, 1<<62) == nil {
		return "the request is signed in the scheme " + other.String() + ", and this Verifier is configured for " + x.v.Scheme.String()
	}
	if err.err == ErrMalformed {
		return "a proxy repeated or joined the signature headers"
	}
	return "the sender does not sign, or a proxy removed or renamed the headers"
}

// explainTime reports whether the timestamp is within the tolerance.
func (x *explainer) explainTime() bool {
	name := strings.ToLower(HeaderTimestamp)
	if x.v.Scheme == SchemeStandardWebhooks {
		name = strings.ToLower(standardTimestamp)
	}
	err := x.p.checkTime(x.now, x.v.tolerance())
	seconds, ok := parseSeconds(x.p.timestamp)
	if !ok {
		x.Cause = "the timestamp is not a number of seconds"
		return x.step(false, name, "%q is not a decimal number", clip(x.p.timestamp))
	}
	at := time.Unix(seconds, 0).UTC()
	detail := fmt.Sprintf("%s is %s, %d s ago", x.p.timestamp, at.Format(time.RFC3339), x.now.Unix()-seconds)
	if err == nil {
		return x.step(true, name, "%s", detail)
	}
	x.Cause = "the request was late, by a queue, a retry or a replay in transit, or the clocks differ"
	if len(x.p.timestamp) == 13 {
		x.Cause = "the timestamp is in milliseconds, Telnyx sends seconds"
	}
	return x.step(false, name, "%s, the tolerance is %v", detail, x.v.tolerance())
}

// explainKeys reports whether the signature matches a key that is in use.
func (x *explainer) explainKeys() bool {
	message := append(x.p.appendPrefix(nil), x.body...)
	genuine := false
	for i := range x.keys {
		k := &x.keys[i]
		name := fmt.Sprintf("key %s (…%s)", k.Label, keyEnd(k.Public))
		switch matches := x.verify(k, message); {
		case matches && k.validAt(x.now):
			genuine = x.step(true, name, "matches")
		case matches:
			x.step(false, name, "matches, but it is not in use at this time (NotBefore, NotAfter)")
			x.Cause = "the request is signed with a key that is configured for another time"
		default:
			x.step(false, name, "does not match")
		}
	}
	return genuine
}

func (x *explainer) verify(k *Key, message []byte) bool {
	if ed25519.Verify(k.Public, message, x.p.signature[:]) {
		return true
	}
	for i := range x.p.others {
		if ed25519.Verify(k.Public, message, x.p.others[i][:]) {
			return true
		}
	}
	return false
}

// signatureCause explains a signature of another form.
func signatureCause(text string) string {
	switch {
	case strings.Contains(text, ","):
		return "a proxy joined several signature headers into one"
	case strings.TrimSpace(text) != text:
		return "white space was added to the signature"
	case strings.ContainsAny(text, "-_"):
		return "the signature is in URL-safe base64, Telnyx sends standard base64"
	case len(text) == 86:
		return "the padding of the signature is missing"
	case len(text) == 128:
		return "the signature is in hexadecimal, Telnyx sends base64"
	}
	return "the signature was cut or altered"
}

// findAccident looks for a request that the signature fits, and explains how
// this one came to differ from it.
func (x *explainer) findAccident() string {
	prefix := x.p.appendPrefix(nil)
	for _, a := range bodyAccidents {
		original := a.undo(x.body)
		if original == nil || bytes.Equal(original, x.body) {
			continue
		}
		if label, ok := x.fits(prefix, original); ok {
			return fmt.Sprintf("%s (then key %s matches)", a.cause, label)
		}
	}
	if cause := x.wrongPrefix(); cause != "" {
		return cause
	}
	if cause := x.otherTime(); cause != "" {
		return cause
	}
	// A cause that no variant proves comes last.
	return bodyAccident(announced(x.header), len(x.body))
}

func (x *explainer) fits(prefix, body []byte) (label string, ok bool) {
	message := append(bytes.Clone(prefix), body...)
	for i := range x.keys {
		if x.verify(&x.keys[i], message) {
			return x.keys[i].Label, true
		}
	}
	return "", false
}

// bodyAccidents are the changes that happen to bodies, smallest first. undo
// returns what the body may have been, or nil.
var bodyAccidents = []struct {
	cause string
	undo  func([]byte) []byte
}{
	{"the last line end was lost in transit", func(b []byte) []byte { return withSuffix(b, "\n") }},
	{"the last line end (CRLF) was lost in transit", func(b []byte) []byte { return withSuffix(b, "\r\n") }},
	{"a line end was added to the body", func(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\n")) }},
	{"white space around the body was added", bytes.TrimSpace},
	{"line ends were changed from CRLF to LF", func(b []byte) []byte {
		return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	}},
	{"line ends were changed from LF to CRLF", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }},
	{"a byte order mark was added", func(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\ufeff")) }},
	{"a byte order mark was lost", func(b []byte) []byte { return append([]byte("\ufeff"), b...) }},
	{"the JSON was printed on one line in transit: something parses and prints it again, verify the bytes as received", indented},
	{"the JSON was printed on one line and lost its last line end: verify the bytes as received", func(b []byte) []byte { return withSuffix(indented(b), "\n") }},
	{"the JSON was indented in transit: something parses and prints it again, verify the bytes as received", compacted},
	{"the JSON was indented and a line end was added: verify the bytes as received", func(b []byte) []byte { return withSuffix(compacted(b), "\n") }},
	{"the form was URL-decoded in transit: verify the bytes as received", encodedForm},
	{"the body was URL-encoded once more", func(b []byte) []byte {
		s, err := url.QueryUnescape(string(b))
		if err != nil {
			return nil
		}
		return []byte(s)
	}},
}

func withSuffix(b []byte, suffix string) []byte {
	if b == nil {
		return nil
	}
	return append(bytes.Clone(b), suffix...)
}

func compacted(b []byte) []byte {
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return nil
	}
	return out.Bytes()
}

func indented(b []byte) []byte {
	var out bytes.Buffer
	if json.Indent(&out, bytes.TrimSpace(b), "", "  ") != nil {
		return nil
	}
	return out.Bytes()
}

// encodedForm encodes the values of a form that was decoded, as far as that
// can be undone: a value that held an ampersand cannot.
func encodedForm(b []byte) []byte {
	if !bytes.ContainsRune(b, '=') || bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return nil
	}
	var out []byte
	for i, pair := range strings.Split(string(b), "&") {
		if i > 0 {
			out = append(out, '&')
		}
		name, value, found := strings.Cut(pair, "=")
		out = append(out, url.QueryEscape(name)...)
		if found {
			out = append(append(out, '='), url.QueryEscape(value)...)
		}
	}
	return out
}

// wrongPrefix tries what a sender might put before the body by mistake.
func (x *explainer) wrongPrefix() string {
	ts := x.p.timestamp
	var tries = []struct{ prefix, cause string }{
		{ts + ".", "the sender puts a dot between timestamp and body, Telnyx a vertical bar"},
		{ts, "the sender signs timestamp and body without a separator"},
		{"", "the sender signs the body without the timestamp"},
		{ts + "000|", "the sender signs the timestamp in milliseconds and sends it in seconds"},
	}
	if seconds, isMillis := strings.CutSuffix(ts, "000"); isMillis {
		tries = append(tries, struct{ prefix, cause string }{seconds + "|", "the timestamp was multiplied by 1000 after signing"})
	}
	if len(ts) == 13 {
		tries = append(tries, struct{ prefix, cause string }{ts[:10] + "|", "the timestamp was changed to milliseconds after signing"})
	}
	if trimmed := strings.TrimLeft(ts, "0"); trimmed != ts {
		tries = append(tries, struct{ prefix, cause string }{trimmed + "|", "zeros were put before the timestamp after signing"})
	}
	for _, id := range x.header[standardID] {
		tries = append(tries, struct{ prefix, cause string }{id + "." + ts + ".", "the sender signs in the manner of Standard Webhooks: set Verifier.Scheme"})
	}
	for _, try := range tries {
		if label, ok := x.fits([]byte(try.prefix), x.body); ok {
			return fmt.Sprintf("%s (then key %s matches)", try.cause, label)
		}
	}
	return ""
}

// otherTime looks for the timestamp that was signed: near the one that was
// sent, in case headers of two requests were mixed up, and then near now.
func (x *explainer) otherTime() string {
	const around = 300
	if x.p.id != "" {
		return ""
	}
	centers := []int64{x.now.Unix()}
	if seconds, ok := parseSeconds(x.p.timestamp); ok && seconds != centers[0] {
		centers = append([]int64{seconds}, centers...)
	}
	for _, center := range centers {
		for d := int64(1); d <= around; d++ {
			for _, at := range [2]int64{center - d, center + d} {
				ts := strconv.FormatInt(at, 10)
				if label, ok := x.fits([]byte(ts+"|"), x.body); ok {
					return fmt.Sprintf("the timestamp was altered or swapped with another request's: the signature belongs to %s (then key %s matches)", ts, label)
				}
			}
		}
	}
	return ""
}

// keyEnd returns the last characters of a key as Telnyx shows it: enough to
// compare it with the one in Mission Control.
func keyEnd(key ed25519.PublicKey) string {
	text := base64.StdEncoding.EncodeToString(key)
	return text[max(0, len(text)-4):]
}

// clip shortens text that a stranger has sent.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
