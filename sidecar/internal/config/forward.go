package config

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

// Forwarding decides which HTTP apps get events, and which failures are retried.
type Forwarding struct {
	// ForwardTo is the URL of an HTTP app that events are POSTed to: all that
	// no route takes.
	ForwardTo string `env:"HOOKSWITCH_FORWARD_TO" desc:"URL of the app for events that match no route" example:"http://127.0.0.1:5000/webhooks" reload:"true" secret:"url"`

	// Routes send events to other URLs, by type:
	// HOOKSWITCH_ROUTE_0_MATCH, HOOKSWITCH_ROUTE_0_TO and so on. An event
	// that several routes match goes to each.
	Routes []Route `env:"-" envPrefix:"HOOKSWITCH_ROUTE_"`

	// ForwardSign is how forwarded requests are signed: "resign" with the
	// sidecar's own key and the current time, so that a retry verifies as
	// well; "passthrough" as received; "none" not at all.
	ForwardSign string `env:"HOOKSWITCH_FORWARD_SIGN" envDefault:"resign" desc:"how forwarded requests are signed: resign with the sidecar's key, passthrough, or none" reload:"true"`

	// ForwardKey is the secret that signs forwarded requests: the base64 of a
	// 32-byte Ed25519 seed. By default one is made and kept in DataDir;
	// several sidecars in front of one app need the same.
	ForwardKey Secret `env:"HOOKSWITCH_FORWARD_KEY" desc:"secret that signs forwarded requests, base64 of 32 bytes; by default created once" reload:"true" secret:"true"`

	// ForwardHeaders are headers sent with every forwarded request, such as
	// "Authorization:Bearer TOKEN". Several are separated by commas.
	ForwardHeaders Headers `env:"HOOKSWITCH_FORWARD_HEADERS" desc:"headers added to forwarded requests" example:"Authorization:Bearer TOKEN,X-Stage:test" reload:"true" secret:"true"`

	// RetryOn are the failures of an app after which it is tried again:
	// conn, timeout, dns, tls, statuses such as 429 and classes such as 5xx.
	// After any other the event is dead at once. 408, 425 and 429 are always
	// tried again, 410 never is.
	RetryOn string `env:"HOOKSWITCH_RETRY_ON" envDefault:"conn,timeout,dns,tls,3xx,4xx,5xx" desc:"failures that are retried: conn, timeout, dns, tls, statuses, classes" example:"conn,timeout,dns,tls,429,5xx" reload:"true"`
}

// Route sends events of some types to the URL of an HTTP app.
type Route struct {
	// Number is the n of HOOKSWITCH_ROUTE_n_.
	Number int `env:"-"`

	Match []string `env:"MATCH" desc:"event types of the route: exact, message.* or *" example:"message.*,fax.received" reload:"true"`
	To    string   `env:"TO" desc:"URL that the events of the route go to" example:"http://127.0.0.1:5000/sms" reload:"true" secret:"url"`

	// Mode is "async": stored, acknowledged, delivered with retries; or
	// "sync": passed straight through, for senders that need the app's answer
	// (TeXML, variables of an assistant, tools), and recorded afterwards.
	Mode string `env:"MODE" envDefault:"async" desc:"async, or sync: the app's own answer goes back to the sender" reload:"true"`

	Name string `env:"NAME" desc:"name of the target: forward:NAME; by default route<n>" example:"crm" reload:"true"`

	// Timeout is how long one attempt may take. The default is that of all,
	// and 10 seconds in sync mode if that is longer.
	Timeout Duration `env:"TIMEOUT" desc:"how long one attempt may take; by default HOOKSWITCH_TIMEOUT, at most 10s in sync mode" example:"5s" reload:"true"`
}

// prefix returns the beginning of the route's variables.
func (r *Route) prefix() string { return fmt.Sprintf("HOOKSWITCH_ROUTE_%d_", r.Number) }

// name returns the name of the route's target.
func (r *Route) name() string {
	if r.Name != "" {
		return r.Name
	}
	return fmt.Sprintf("route%d", r.Number)
}

// validateForward checks where events are forwarded to, and how.
func (c *Config) validateForward(problem *Error) {
	if c.ForwardTo != "" {
		if err := checkURL(c.ForwardTo, "http://127.0.0.1:5000/webhooks"); err != nil {
			problem.add("HOOKSWITCH_FORWARD_TO", err.Error())
		}
	}
	names := map[string]bool{"default": true}
	for _, r := range c.Routes {
		prefix := r.prefix()
		if r.To == "" {
			problem.add(prefix+"TO", "is not set: give the URL of the app, such as http://127.0.0.1:5000/sms")
		} else if err := checkURL(r.To, "http://127.0.0.1:5000/sms"); err != nil {
			problem.add(prefix+"TO", err.Error())
		}
		if len(r.Match) == 0 {
			problem.add(prefix+"MATCH", "is not set: give the event types of this route, such as message.*")
		}
		for _, pattern := range r.Match {
			if err := event.CheckPattern(pattern); err != nil {
				problem.add(prefix+"MATCH", "has a bad pattern: "+strings.TrimPrefix(err.Error(), "event: "))
			}
		}
		if r.Mode != "" && r.Mode != "async" && r.Mode != "sync" {
			problem.add(prefix+"MODE", "must be async or sync")
		}
		name := r.name()
		if strings.ContainsAny(name, " ,:/") {
			problem.add(prefix+"NAME", "has a space, comma, colon or slash: use letters, digits and dashes")
		}
		if names[name] {
			problem.add(prefix+"NAME", fmt.Sprintf("is %q, the name of another target: give each its own", name))
		}
		names[name] = true
	}
	if _, err := c.signMode(); err != nil {
		problem.add("HOOKSWITCH_FORWARD_SIGN", err.Error())
	}
	if _, err := forward.ParseRetryOn(c.RetryOn); err != nil {
		problem.add("HOOKSWITCH_RETRY_ON", err.Error())
	}
	if c.ForwardKey != "" {
		if _, err := keyfile.Parse(string(c.ForwardKey)); err != nil {
			problem.add("HOOKSWITCH_FORWARD_KEY", err.Error())
		}
	}
}

// signMode returns the meaning of ForwardSign.
func (c *Config) signMode() (forward.Sign, error) {
	switch c.ForwardSign {
	case "", "resign":
		return forward.Resign, nil
	case "passthrough":
		return forward.Passthrough, nil
	case "none":
		return forward.Unsigned, nil
	}
	return 0, errors.New("must be resign, passthrough or none")
}

// Resigns reports whether requests are forwarded with a signature of the
// sidecar's own.
func (c *Config) Resigns() bool {
	mode, err := c.signMode()
	return mode == forward.Resign && err == nil
}

// App is an HTTP app that events are forwarded to.
type App struct {
	Variable string         // that has its URL
	Sync     bool           // it answers events itself
	Forward  forward.Config // without what the settings do not know: key, log, …
}

// syncTimeout is how long an app may take to answer for itself if neither the
// route nor Timeout says less: somebody is on the line.
const syncTimeout = 10 * time.Second

// Apps returns the app of ForwardTo, which is called "default", and those of the
// routes. Its error is an [*Error].
func (c *Config) Apps() ([]App, error) {
	sign, err := c.signMode()
	if err != nil {
		return nil, NewError("HOOKSWITCH_FORWARD_SIGN", err.Error())
	}
	retryOn, err := forward.ParseRetryOn(c.RetryOn)
	if err != nil {
		return nil, NewError("HOOKSWITCH_RETRY_ON", err.Error())
	}
	app := func(variable string, sync bool, name, url string, patterns []string, timeout Duration) App {
		return App{variable, sync, forward.Config{
			Name: name, URL: url, Patterns: patterns, Sign: sign, RetryOn: retryOn,
			Header: c.ForwardHeaders.header, Timeout: time.Duration(timeout),
		}}
	}
	var apps []App
	if c.ForwardTo != "" {
		apps = append(apps, app("HOOKSWITCH_FORWARD_TO", false, "default", c.ForwardTo, nil, c.Timeout))
	}
	for _, r := range c.Routes {
		sync := r.Mode == "sync"
		timeout := r.Timeout
		switch {
		case timeout != 0:
		case sync:
			timeout = min(c.Timeout, Duration(syncTimeout))
		default:
			timeout = c.Timeout
		}
		apps = append(apps, app(r.prefix()+"TO", sync, r.name(), r.To, r.Match, timeout))
	}
	return apps, nil
}

// LoadForwardKey returns the key that signs forwarded requests: that of
// ForwardKey, or else the one in the data directory dir, which is made if there
// is none.
func (c *Config) LoadForwardKey(dir string) (ed25519.PrivateKey, error) {
	if c.ForwardKey == "" {
		return keyfile.Load(dir, keyfile.Forward)
	}
	key, err := keyfile.Parse(string(c.ForwardKey))
	if err != nil {
		return nil, NewError("HOOKSWITCH_FORWARD_KEY", err.Error())
	}
	return key, nil
}

// Forwards returns where events are forwarded to, a line for each route and
// HOOKSWITCH_FORWARD_TO, without the passwords that the URLs may contain.
func (c *Config) Forwards() (lines []string) {
	for _, r := range c.Routes {
		line := strings.Join(r.Match, ",") + " → " + redactURL(r.To)
		if r.Mode == "sync" {
			line += " (sync)"
		}
		lines = append(lines, line)
	}
	if c.ForwardTo != "" {
		lines = append(lines, redactURL(c.ForwardTo))
	}
	return lines
}
