package sidecar

import (
	"context"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// validateTrust reports what keeps plugins from being trusted.
func (c *Config) validateTrust(problem *ConfigError) {
	switch pluginhost.TrustMode(c.PluginTrust) {
	case "", pluginhost.TrustDir:
	case pluginhost.TrustPinned, pluginhost.TrustSigned:
		if c.PluginSums == "" {
			problem.add("HOOKSWITCH_PLUGIN_SHA256SUMS", "is not set, and HOOKSWITCH_PLUGIN_TRUST="+c.PluginTrust+" needs it: give the path of a file that sha256sum has written")
		}
	default:
		problem.add("HOOKSWITCH_PLUGIN_TRUST", "is none of dir, pinned and signed")
	}
	if c.PluginSignKey != "" {
		if _, err := pluginhost.ParseSignKey(c.PluginSignKey); err != nil {
			problem.add("HOOKSWITCH_PLUGIN_SIGN_KEY", err.Error())
		}
	} else if c.PluginTrust == string(pluginhost.TrustSigned) {
		problem.add("HOOKSWITCH_PLUGIN_SIGN_KEY", "is not set, and HOOKSWITCH_PLUGIN_TRUST=signed needs it: give the Ed25519 public key, PEM or base64")
	}
}

// trust returns which programs are run as plugins. In development it is less
// strict about what a developer's machine is usually like, with a warning.
func (s *Sidecar) trust() pluginhost.Trust {
	t := s.cfg.trust()
	t.GroupWrite = s.opts.Dev
	return t
}

func (c *Config) trust() pluginhost.Trust {
	t := pluginhost.Trust{Mode: pluginhost.TrustMode(c.PluginTrust), Sums: c.PluginSums}
	t.Key, _ = pluginhost.ParseSignKey(c.PluginSignKey) // validated; without it nothing is signed
	return t
}

// addPlugin makes a target of a plugin that has come while the sidecar runs.
func (s *Sidecar) addPlugin(p *pluginhost.Plugin) error { return s.dispatch.Add(p) }

// removePlugin takes away the target of a plugin that has gone. What waits for
// it stays in the store.
func (s *Sidecar) removePlugin(p *pluginhost.Plugin) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.cfg.ShutdownTimeout))
	defer cancel()
	if err := s.dispatch.Remove(ctx, p.Name()); err != nil {
		s.log.Warn("a plugin that is gone still has events: it is stopped", "code", telemetry.CodePluginForced, "target", p.Name(), "error", err)
	}
}
