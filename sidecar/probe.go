package sidecar

import (
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
)

// ProbeConfig returns how this configuration starts plugins, for commands that
// try one without a sidecar.
func (c *Config) ProbeConfig() pluginhost.ProbeConfig {
	state := ""
	if dir, err := c.Dir(); err == nil {
		state = filepath.Join(dir, "plugins") // as for a host
	}
	return pluginhost.ProbeConfig{
		Dir: c.PluginDir, StateDir: state,
		Trust:   c.trust(),
		Env:     c.PluginEnv,
		Environ: c.environ(),
		Timeout: time.Duration(c.Timeout),
	}
}
