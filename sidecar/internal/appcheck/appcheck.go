// Package appcheck finds what is wrong with an app's webhook handler. It sends a
// running app what a sidecar would, signed, and then what nobody signed, and says
// in words what the answers mean.
//
// It knows an app by its answers only. So it says what was sent and what came
// back, and where several causes give the same answer it names them all. The
// package does not decide which key signs or where the app is.
package appcheck

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// Config says which app is checked, and how.
type Config struct {
	URL       string             // where it takes webhooks
	Key       ed25519.PrivateKey // whose public half the app verifies with
	EventType string             // of what is sent; it has a sample in JSON with "data"
	Header    http.Header        // added to each request, as a sidecar would
	UserAgent string

	Budget  time.Duration     // an answer that takes longer is slow; 2 s by default
	Timeout time.Duration     // and after this nobody waits for it; 30 s by default
	Sender  http.RoundTripper // sends the requests; each on its own connection by default
}

// What Telnyx waits for an answer, and what a sidecar waits by default.
const (
	DefaultBudget  = 2 * time.Second
	DefaultTimeout = 30 * time.Second
)

// Report is the result of a check. Its fields in JSON are only ever added.
type Report struct {
	URL       string    `json:"url"`
	PublicKey string    `json:"public_key"`          // what the app's TELNYX_PUBLIC_KEY has to be
	Framework string    `json:"framework,omitempty"` // as far as the answers show it
	OK        bool      `json:"ok"`                  // no finding but warnings
	Checks    []Check   `json:"checks"`
	Findings  []Finding `json:"findings"`
}

// Check is one request and its answer.
type Check struct {
	Name    string  `json:"name"`
	Sent    string  `json:"sent"`
	Want    string  `json:"want"`             // "2xx", "4xx", or "5xx" for what makes a handler fail
	Result  Result  `json:"result"`           //
	Status  int     `json:"status,omitempty"` // 0 without an answer
	Answer  string  `json:"answer,omitempty"` // the begin of its body
	Error   string  `json:"error,omitempty"`  // why there is no answer
	Seconds float64 `json:"seconds"`
}

// Result says whether an answer is the right one.
type Result string

const (
	Passed  Result = "passed"
	Failed  Result = "failed"
	Skipped Result = "skipped" // not sent: an earlier answer makes it pointless
)

// Finding is one mistake of the app, which may show in several checks.
type Finding struct {
	Code    string   `json:"code"`
	Warning bool     `json:"warning"` // worth knowing, but nothing gets lost
	Checks  []string `json:"checks"`
	Problem string   `json:"problem"`
	Sent    string   `json:"sent"`
	Got     string   `json:"got"`
	Why     string   `json:"why"`
	Fix     string   `json:"fix"`
}

// Unreachable is the error that nothing answers at the address of the app.
type Unreachable struct {
	URL string
	Err error
}

func (e *Unreachable) Error() string { return fmt.Sprintf("no app answers at %s: %v", e.URL, e.Err) }
func (e *Unreachable) Unwrap() error { return e.Err }

// Run checks an app. The error is an *Unreachable, that of an ended context, or one
// of the configuration.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg.Budget, cfg.Timeout = cmp.Or(cfg.Budget, DefaultBudget), cmp.Or(cfg.Timeout, DefaultTimeout)
	if cfg.Sender == nil {
		// A kept connection may be closed just when it is used: that is no answer, and
		// nothing that the app does wrong.
		cfg.Sender = &http.Transport{DisableKeepAlives: true}
	}
	probes, err := newProbes(cfg.EventType)
	if err != nil {
		return nil, err
	}
	c := &checker{cfg: cfg, probes: probes, answers: make(map[string]*answer), report: &Report{
		URL: shown(cfg.URL), PublicKey: base64.StdEncoding.EncodeToString(cfg.Key.Public().(ed25519.PublicKey)),
		Checks: []Check{}, Findings: []Finding{},
	}}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	c.report.Framework = frameworkOf(c.answers)
	c.judge()
	return c.report, nil
}

// checker is one run.
type checker struct {
	cfg     Config
	probes  probes
	report  *Report
	answers map[string]*answer // by the name of the probe; nil: not sent

	lastWords []string // the probes after which nothing listened any more
}

// answer is what an app has said.
type answer struct {
	probe  *probe
	status int
	header http.Header
	body   string // its begin
	took   time.Duration
	err    error
}

// accepted reports whether a sidecar would take the event for handled.
func (a *answer) accepted() bool { return a != nil && a.status >= 200 && a.status <= 299 }

// closed reports whether the connection was closed without an answer.
func (a *answer) closed() bool { return a != nil && a.err != nil && !a.timedOut() }

// says reports whether the body of an answer has one of some texts, in lower case.
func (a *answer) says(texts ...string) bool {
	if a == nil {
		return false
	}
	body := strings.ToLower(a.body)
	for _, text := range texts {
		if strings.Contains(body, text) {
			return true
		}
	}
	return false
}

// run sends the probes, in the order in which one decides about the next.
func (c *checker) run(ctx context.Context) error {
	first, err := c.send(ctx, c.probes.small)
	if err != nil {
		return err
	}
	if connect, ok := errors.AsType[*connectError](first.err); ok {
		return &Unreachable{c.report.URL, connect.error}
	}
	rest := slices.Concat(c.probes.genuine, c.probes.forged, c.probes.last)
	if wrongPlace(first) != "" || first.timedOut() {
		c.skip(rest...)
		return nil
	}
	if !first.accepted() { // in another form it may be: that says what was done to it
		for _, p := range c.probes.rewritten {
			if a, err := c.send(ctx, p); err != nil {
				return err
			} else if a.accepted() {
				break
			}
		}
	}
	for i, p := range rest {
		if c.pointless(i) {
			c.skip(rest[i:]...)
			return nil
		}
		a, err := c.send(ctx, p)
		if err != nil {
			return err
		}
		if _, gone := errors.AsType[*connectError](a.err); gone {
			c.ended(rest[:i])
			c.skip(rest[i:]...)
			return nil
		}
	}
	return nil
}

// maxTimeouts is how many answers are waited for in vain.
const maxTimeouts = 3

// pointless reports whether the i-th of the probes after the first, and those after
// it, would say nothing: where all is refused a refusal says nothing, and an app that
// does not answer is known by then.
func (c *checker) pointless(i int) bool {
	timeouts, accepted := 0, false
	for _, a := range c.answers {
		accepted = accepted || a.accepted()
		if a.timedOut() {
			timeouts++
		}
	}
	return timeouts >= maxTimeouts || i == len(c.probes.genuine) && !accepted
}

// ended notes that the app is gone since the last of some probes, or since those
// before it that were not answered either: a process that ends still takes
// connections for a moment. The probe that has found out is as if it had not been sent.
func (c *checker) ended(sent []*probe) {
	last := len(c.report.Checks) - 1
	delete(c.answers, c.report.Checks[last].Name)
	c.report.Checks = c.report.Checks[:last]
	i := len(sent)
	for i > 0 && c.answers[sent[i-1].name].closed() {
		i--
	}
	for _, p := range sent[min(i, max(0, len(sent)-1)):] {
		c.lastWords = append(c.lastWords, p.name)
	}
	if len(sent) == 0 {
		c.lastWords = []string{c.probes.small.name}
	}
}

func (c *checker) skip(list ...*probe) {
	for _, p := range list {
		c.report.Checks = append(c.report.Checks, Check{Name: p.name, Sent: p.sent, Want: p.want, Result: Skipped})
	}
}

// connectError is that of a connection that was not made.
type connectError struct{ error }

func (e *connectError) Unwrap() error { return e.error }

// maxAnswer is how much of an answer is read: enough for what frameworks say.
const maxAnswer = 64 << 10

// send sends one request. Its error is that of the context.
func (c *checker) send(ctx context.Context, p *probe) (*answer, error) {
	a := &answer{probe: p}
	c.answers[p.name] = a
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	start := time.Now()
	res, err := c.exchange(limited, p)
	if err == nil {
		a.status, a.header = res.StatusCode, res.Header
		text, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer)) // the status counts
		res.Body.Close()
		a.body = plain(res.Header.Get("Content-Type"), string(text))
	}
	a.took, a.err = time.Since(start), err
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	check := Check{
		Name: p.name, Sent: p.sent, Want: p.want, Result: Failed,
		Status: a.status, Answer: clip(a.body, 300), Seconds: a.took.Seconds(),
	}
	if err != nil {
		check.Error = c.reason(err)
	}
	if p.right(a) {
		check.Result = Passed
	}
	c.report.Checks = append(c.report.Checks, check)
	return a, nil
}

// exchange makes the request of a probe and returns the answer.
func (c *checker) exchange(ctx context.Context, p *probe) (*http.Response, error) {
	ctx, connected := traceConnection(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL, bytes.NewReader(p.body))
	if err != nil {
		return nil, &connectError{err}
	}
	for name, values := range c.cfg.Header {
		req.Header[name] = values
	}
	if user := req.URL.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	req.Header.Set("Content-Type", p.contentType)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	timestamp, signature := p.sign(c.cfg.Key, time.Now())
	if timestamp != "" {
		req.Header.Set(webhook.HeaderTimestamp, timestamp)
	}
	if signature != "" {
		req.Header.Set(webhook.HeaderSignature, signature)
	}
	res, err := c.cfg.Sender.RoundTrip(req) // which follows no redirect, as a sidecar does not
	if err != nil && !connected() {
		err = &connectError{err}
	}
	return res, err
}

// reason says why there is no answer.
func (c *checker) reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s", c.cfg.Timeout)
	case errors.As(err, new(*connectError)):
		return "no connection: " + err.Error()
	}
	return "the connection was closed without an answer"
}

// shown returns a URL without a password.
func shown(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	return text
}

var (
	unseen = regexp.MustCompile(`(?is)<(style|script)\b.*?</(style|script)>`)
	tag    = regexp.MustCompile(`<[^>]*>`)
)

// plain returns the words of a page.
func plain(contentType, body string) string {
	if !strings.HasPrefix(contentType, "text/html") {
		return body
	}
	return html.UnescapeString(tag.ReplaceAllString(unseen.ReplaceAllString(body, " "), " "))
}

// clip shortens a text to one line of at most n bytes.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
