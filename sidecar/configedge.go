package sidecar

import (
	"net"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
)

// The body of a webhook may be so large. Telnyx sends far less; plugins are
// sent 16 MiB at most, with all that belongs to an event.
const (
	minBody = 1 << 10
	maxBody = 8 << 20
)

// validateEdge checks the settings of what is reached from outside, and of what
// goes out to plugins.
func (c *Config) validateEdge(problem *ConfigError) {
	if c.MaxBody < minBody || c.MaxBody > maxBody {
		problem.add("HOOKSWITCH_MAX_BODY", "is not from 1KiB to 8MiB: 1MiB is far more than Telnyx sends")
	}
	if _, err := c.loadCertificate(); err != nil {
		problem.join(err)
	}
	for _, host := range c.AdminHosts {
		if host == "" || strings.ContainsAny(host, "/@ *") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			problem.add("HOOKSWITCH_ADMIN_HOSTS", "has an item that is no name of a host: write names without scheme and port, such as ops.example.com,10.0.0.5")
		}
	}
	for _, name := range c.PluginEnv {
		if name, _, found := strings.Cut(name, "="); found {
			problem.add("HOOKSWITCH_PLUGIN_ENV", "has a value for "+name+": give names only, without values")
		}
	}
	if err := pluginhost.CheckEnv(c.PluginEnv); err != nil {
		problem.add("HOOKSWITCH_PLUGIN_ENV", "is not usable: "+err.Error())
	}
}
