package appcheck

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// judge turns the answers into findings.
func (c *checker) judge() {
	first := c.answers[c.probes.small.name]
	switch place := wrongPlace(first); {
	case place != "":
		c.find(place, first.probe.name)
	default:
		if !first.accepted() {
			c.refused(first)
		}
		c.bodies(first)
		c.forgeries()
		c.failures()
		c.slow()
	}
	c.report.OK = !slices.ContainsFunc(c.report.Findings, func(f Finding) bool { return !f.Warning })
}

// wrongPlace returns the finding that the handler is somewhere else, or "".
func wrongPlace(a *answer) string {
	switch {
	case a.status >= 300 && a.status <= 399:
		return codeRedirect
	case a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed, a.status == http.StatusNotImplemented:
		return codePath
	}
	return ""
}

// refused says why an app refuses the simplest genuine event.
func (c *checker) refused(first *answer) {
	name := first.probe.name
	for _, p := range c.probes.rewritten {
		if c.answers[p.name].accepted() {
			c.findBy(codeReserialised, p.name, name)
			return
		}
	}
	if code := c.byText(first); code != "" {
		c.find(code, name)
		return
	}
	switch {
	case first.err != nil && first.timedOut():
		c.find(codeNoAnswer, name)
	case first.err != nil:
		c.find(codeClosed, name)
	case first.status >= 500:
		c.find(codeFails, name)
	default:
		c.find(codeRefused, name)
	}
}

// byText returns the finding that the words of an answer give away, or "".
func (c *checker) byText(a *answer) string {
	switch {
	case a.says("missing required header", "missing header", "headers are required", "missing signature", "no signature header", "missing telnyx"):
		return codeHeaders
	case a.says("invalid key format", "invalid public key", "no public key", "public key is not"):
		return codeKeyFormat
	case a.says("disallowedhost", "invalid http_host", "blocked host", "host not permitted", "host not allowed"):
		return codeHost
	case a.status == 419, a.says("csrf", "cross-site", "invalidauthenticitytoken", "forgery protection"):
		return codeCSRF
	case a.status == http.StatusRequestEntityTooLarge, a.says("entity too large", "payload too large", "requestdatatoobig"):
		return codeLimit
	case a.status == http.StatusUnsupportedMediaType && a.probe.contentType == typeForm:
		return codeForm
	}
	return ""
}

// bodies judges the other genuine events. An answer that is the first one's again
// has its cause.
func (c *checker) bodies(first *answer) {
	found := make(map[string][]string)
	for _, p := range c.probes.genuine {
		a := c.answers[p.name]
		if a == nil || a.accepted() || a.timedOut() || slices.Contains(c.lastWords, p.name) {
			continue
		}
		code := c.byText(a)
		other := p.contentType == typeForm && a.status != first.status // JSON is refused for another reason
		if !first.accepted() && (code == "" && !other || c.found(code)) {
			continue
		}
		if code == "" || code == codeHeaders {
			code = byBody[p.name]
		}
		found[code] = append(found[code], p.name)
	}
	if len(found[codeReserialised]) > 0 { // which also explains a text that is not ASCII
		delete(found, codeCharset)
	}
	if long := c.answers["150 kB"]; len(found[codeChunks]) > 0 && c.byText(long) == "" {
		found[codeChunks] = append(found[codeChunks], found[codeLimit]...)
		delete(found, codeLimit)
	}
	for _, code := range codes { // in one order
		if names := found[code]; len(names) > 0 {
			c.find(code, names...)
		}
	}
}

// byBody says what it means that one body is refused and the simplest is not.
var byBody = map[string]string{
	"20 kB": codeChunks, "150 kB": codeLimit, "white space": codeReserialised, "keys twice": codeReserialised,
	"not ASCII": codeCharset, "form": codeForm, "unknown type": codeUnknownType, "again": codeAgain,
}

// forgeries judges what had to be refused.
func (c *checker) forgeries() {
	var forged, aged, badly []string
	for _, p := range c.probes.forged {
		switch a := c.answers[p.name]; {
		case a == nil || a.timedOut() || slices.Contains(c.lastWords, p.name):
		case a.accepted() && (p.name == "old" || p.name == "future"):
			aged = append(aged, p.name)
		case a.accepted():
			forged = append(forged, p.name)
		case a.err != nil || a.status >= 500:
			badly = append(badly, p.name)
		}
	}
	switch {
	case slices.Contains(forged, "changed") && slices.Contains(forged, "another key") && slices.Contains(forged, "no signature"):
		c.find(codeUnverified, append(forged, aged...)...)
		aged = nil
	case len(forged) > 0:
		c.find(codeForgery, forged...)
	}
	if len(aged) > 0 {
		c.find(codeAge, aged...)
	}
	if len(badly) > 0 {
		c.find(codeBadly, badly...)
	}
}

// failures judges what an app says of an event that it cannot read, and whether it
// is there after each.
func (c *checker) failures() {
	if len(c.lastWords) > 0 {
		c.find(codeCrash, c.lastWords...)
		return
	}
	broken, after := c.answers[c.probes.last[0].name], c.answers[c.probes.last[1].name]
	if broken == nil || after == nil {
		return
	}
	small := c.answers[c.probes.small.name]
	switch {
	case small.accepted() && !after.accepted() && !after.timedOut():
		c.find(codeCrash, broken.probe.name, after.probe.name)
	case broken.accepted() && showsException(broken):
		c.find(codeDone, broken.probe.name)
	case broken.closed():
		c.find(codeCrash, broken.probe.name)
	}
}

// slow judges how long answers took.
func (c *checker) slow() {
	var late, never []string
	for _, check := range c.report.Checks {
		switch a := c.answers[check.Name]; {
		case a == nil:
		case a.timedOut():
			never = append(never, check.Name)
		case a.accepted() && a.took > c.cfg.Budget:
			late = append(late, check.Name)
		}
	}
	if len(late) > 0 {
		c.find(codeSlow, late...)
	}
	if len(never) > 0 && !c.found(codeNoAnswer) {
		c.find(codeNoAnswer, never...)
	}
}

func (c *checker) found(code string) bool {
	return slices.ContainsFunc(c.report.Findings, func(f Finding) bool { return f.Code == code })
}

// find adds a finding about some checks, the first of which is shown.
func (c *checker) find(code string, names ...string) { c.findBy(code, "", names...) }

// findBy is find of what one form has shown.
func (c *checker) findBy(code, form string, names ...string) {
	a, w := c.answers[names[0]], words[code]
	f := Finding{
		Code: code, Warning: w.warning, Checks: names, Problem: w.problem, Sent: a.probe.sent, Got: c.got(a), Why: w.why, Fix: w.fix,
	}
	if by, ok := w.by[c.report.Framework]; ok {
		f.Fix = by
	}
	if form != "" {
		f.Why = rewrittenBy[form] + "; " + f.Why
	}
	origin, location := c.cfg.URL, a.header.Get("Location")
	if u, err := url.Parse(c.cfg.URL); err == nil {
		origin = u.Scheme + "://" + u.Host
		if to, err := u.Parse(location); err == nil && location != "" {
			location = to.String()
		}
	}
	f.Fix = strings.NewReplacer("$ORIGIN", origin, "$LOCATION", location, "$KEY", c.report.PublicKey).Replace(f.Fix)
	f.Why = strings.ReplaceAll(f.Why, "$BUDGET", c.cfg.Budget.String())
	c.report.Findings = append(c.report.Findings, f)
}

// got shows an answer.
func (c *checker) got(a *answer) string {
	if a.err != nil {
		return c.reason(a.err)
	}
	text := strings.TrimSpace(fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))
	if a.took > c.cfg.Budget {
		text += fmt.Sprintf(" after %.1f s", a.took.Seconds())
	}
	if location := a.header.Get("Location"); location != "" && a.status/100 == 3 {
		text += " to " + clip(location, 100)
	}
	if body := clip(a.body, 160); body != "" && !strings.EqualFold(body, http.StatusText(a.status)) {
		text += ": " + body
	}
	return text
}
