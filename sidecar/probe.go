package sidecar

import (
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
)

// ProbeConfig returns how this configuration starts plugins, for commands that
// try one without a sidecar.
func (c *Config) ProbeConfig() pluginhost.ProbeConfig {
	return pluginhost.ProbeConfig{
		Dir:     c.PluginDir,
		Trust:   c.trust(),
		Env:     c.PluginEnv,
		Environ: c.environ(),
		Timeout: time.Duration(c.Timeout),
	}
}
