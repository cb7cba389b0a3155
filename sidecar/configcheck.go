package sidecar

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// Validate reports everything that keeps the sidecar from starting with c, as
// a [*ConfigError].
func (c *Config) Validate() error {
	problem := c.problems()
	if c.PublicKey.Ring == nil {
		problem.add("TELNYX_PUBLIC_KEY", "is not set: copy the key from Mission Control (Keys & Credentials, Public Key), or use \"hookswitch dev\" to try things out")
	}
	return c.validate(problem)
}

// ValidateDev is Validate for [Options.Dev], where the development key is
// enough.
func (c *Config) ValidateDev() error { return c.validate(c.problems()) }

func (c *Config) validate(problem *ConfigError) error {
	if url, ok := c.database(); ok {
		if err := postgres.CheckURL(url); err != nil {
			problem.add("HOOKSWITCH_STORE", err.Error())
		}
	} else if _, err := c.storeDir(); err != nil {
		problem.join(err)
	}
	c.validateSecrets(problem)
	c.validateListen(problem)
	c.validateForward(problem)
	c.validateEdge(problem)
	c.validateObserve(problem)
	c.validatePlugins(problem)
	c.validateTrust(problem)
	if err := accept.CheckPaths(c.Paths); err != nil {
		problem.add("HOOKSWITCH_PATHS", err.Error())
	}
	if c.Concurrency < 1 {
		problem.add("HOOKSWITCH_CONCURRENCY", "must be at least 1")
	}
	for variable, d := range map[string]Duration{
		"HOOKSWITCH_TIMEOUT": c.Timeout, "HOOKSWITCH_SHUTDOWN_TIMEOUT": c.ShutdownTimeout,
		"HOOKSWITCH_TOLERANCE": c.Tolerance, "HOOKSWITCH_ACK_BUDGET": c.AckBudget,
	} {
		if d <= 0 {
			problem.add(variable, "must be more than 0: write it like 30s")
		}
	}
	if _, err := uuid.Parse(c.UserID); err != nil {
		problem.add("HOOKSWITCH_USER_ID", "is not a UUID")
	}
	switch c.LogFormat {
	case "auto", "text", "json":
	default:
		problem.add("HOOKSWITCH_LOG_FORMAT", "is none of auto, text and json")
	}
	return problem.result(c)
}

func (c *Config) validateForward(problem *ConfigError) {
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
			problem.add(prefix+"MODE", "is none of async and sync")
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

// prefix returns what the variables of the route begin with.
func (r *Route) prefix() string { return fmt.Sprintf("HOOKSWITCH_ROUTE_%d_", r.Number) }

// name returns the name of the route's target.
func (r *Route) name() string {
	if r.Name != "" {
		return r.Name
	}
	return fmt.Sprintf("route%d", r.Number)
}
