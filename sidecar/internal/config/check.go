package config

import (
	"github.com/google/uuid"
)

// Validate reports everything that keeps the sidecar from starting with c, as
// an [*Error].
func (c *Config) Validate() error {
	problem := c.problems()
	if c.PublicKey.Ring == nil {
		problem.add("TELNYX_PUBLIC_KEY", "is not set: copy the key from Mission Control (Keys & Credentials, Public Key), or use \"hookswitch dev\" to try things out")
	}
	return c.validate(problem)
}

// ValidateDev is Validate for a sidecar in development, which needs no key but
// its own.
func (c *Config) ValidateDev() error { return c.validate(c.problems()) }

// Recheck validates the present values of c, without the problems of the
// variables that it was read from.
func (c Config) Recheck(dev bool) error {
	c.loaded = nil
	if dev {
		return c.ValidateDev()
	}
	return c.Validate()
}

func (c *Config) validate(problem *Error) error {
	c.validateSecrets(problem)
	c.validateListen(problem)
	c.validateReceiving(problem)
	c.validateStore(problem)
	c.validatePlugins(problem)
	c.validateForward(problem)
	c.validateAdmin(problem)
	c.validateAlerting(problem)
	c.Tracing.validate(problem)
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
		problem.add("HOOKSWITCH_LOG_FORMAT", "must be auto, text or json")
	}
	return problem.result(c)
}
