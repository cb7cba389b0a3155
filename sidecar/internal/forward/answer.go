package forward

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// How much of an application's answer, and of the URL it redirects to, is shown,
// in characters.
const (
	excerptLength  = 100
	locationLength = 300
)

// describe describes an unsuccessful answer of an application in one line, in
// the application's own words where possible.
func (f *Forward) describe(resp *http.Response, body []byte) string {
	text := status(resp)
	said := excerpt(resp.Header, body)
	if said != "" && !strings.EqualFold(said, http.StatusText(resp.StatusCode)) {
		text += ": “" + said + "”"
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		if isAboutSignature(said) || saysNothing(said, resp.StatusCode) {
			text += ": " + f.signatureHint()
		}
	}
	if resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		text += ": redirects are not followed, configure the final URL"
		if to := f.location(resp.Header.Get("Location")); to != "" {
			text += ": it names " + to
		}
	}
	return text
}

func status(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("the application answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}

// noAnswer explains why a status below 200 is not an answer.
func noAnswer(resp *http.Response) string {
	text := status(resp) + ", which is not a valid answer to a webhook"
	if resp.StatusCode == http.StatusSwitchingProtocols {
		text += ": does the URL lead to a WebSocket?"
	}
	return text
}

// signatureHint suggests what to check if an application rejects a signature.
func (f *Forward) signatureHint() string {
	switch f.cfg.Sign {
	case Passthrough:
		return "does it verify with Telnyx's key? HOOKSWITCH_FORWARD_SIGN=passthrough sends the signature as it was received, which is good for five minutes"
	case Unsigned:
		return "does it ask for a signature? HOOKSWITCH_FORWARD_SIGN=none sends none"
	}
	return "does it verify with the public key of this sidecar?"
}

var (
	// markup matches the parts of HTML that nobody reads.
	markup = regexp.MustCompile(`(?is)<script\b.*?</script>|<style\b.*?</style>|<!--.*?-->|<[^>]*>`)

	signature = regexp.MustCompile(`(?i)signature|signing|public.?key|ed25519|webhook.?verif`)
	words     = regexp.MustCompile(`\pL+`)
)

// excerpt returns the first printable characters of an answer, on one line, or ""
// if it is not text.
func excerpt(h http.Header, body []byte) string {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return ""
	}
	text := string(body)
	if contentType := strings.ToLower(h.Get("Content-Type")); strings.Contains(contentType, "html") {
		text = html.UnescapeString(markup.ReplaceAllString(text, " "))
	}
	return printable(text, excerptLength)
}

// printable returns up to limit printable characters of a text, on one line.
func printable(text string, limit int) string {
	var b strings.Builder
	length, space := 0, false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = true
			continue
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			continue
		}
		if space && length > 0 {
			b.WriteByte(' ')
			length++
		}
		space = false
		if length >= limit {
			return strings.TrimRight(b.String(), " ") + "…"
		}
		b.WriteRune(r)
		length++
	}
	return b.String()
}

// isAboutSignature reports whether an answer speaks of a signature. Words such
// as "verification" are not enough: guards against cross-site requests have
// them too.
func isAboutSignature(said string) bool { return signature.MatchString(said) }

// saysNothing reports whether an answer adds nothing to its status: it is empty,
// or repeats it, in whatever form.
func saysNothing(said string, status int) bool {
	idle := strings.ToLower(http.StatusText(status)) + " error errors message detail details title reason status statuscode code http false success ok null name exception"
	for _, word := range words.FindAllString(said, -1) {
		if !strings.Contains(" "+idle+" ", " "+strings.ToLower(word)+" ") {
			return false
		}
	}
	return true
}

// location returns the target of a redirect, without its query, which may repeat
// a token of ours.
func (f *Forward) location(header string) string {
	base, err := url.Parse(f.url)
	if err != nil || header == "" {
		return ""
	}
	to, err := base.Parse(header)
	if err != nil {
		return printable(header, locationLength)
	}
	to.User = nil
	return printable(shown(to), locationLength)
}
