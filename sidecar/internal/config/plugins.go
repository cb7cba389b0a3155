package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/plugincheck"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// Plugins decides which programs are plugins, and their limits.
type Plugins struct {
	// PluginDir is the folder whose executables are started as plugins. A
	// folder that does not exist has none.
	PluginDir string `env:"HOOKSWITCH_PLUGIN_DIR" envDefault:"plugins" desc:"folder whose executables are started as plugins" example:"/usr/lib/hookswitch/plugins"`

	// PluginWatch makes the sidecar follow the folder while it runs: plugins
	// come, go and change. Without it only "hookswitch plugins reload" looks
	// there again.
	PluginWatch bool `env:"HOOKSWITCH_PLUGIN_WATCH" envDefault:"true" desc:"follow the plugin folder while the sidecar runs"`

	// PluginTrust decides which programs are run: "dir" those that only root and
	// the sidecar's user can have put there; "pinned" those listed in
	// PluginSums; "signed" likewise, if the list is signed with PluginSignKey.
	PluginTrust string `env:"HOOKSWITCH_PLUGIN_TRUST" envDefault:"dir" desc:"which programs are run as plugins: dir, pinned or signed"`

	PluginSums string `env:"HOOKSWITCH_PLUGIN_SHA256SUMS" desc:"file with the SHA-256 digests of trusted programs" example:"/etc/hookswitch/SHA256SUMS"`

	// PluginSignKey is the Ed25519 public key, PEM or base64, that verifies the
	// signature of PluginSums in the file beside it that ends in .sig.
	PluginSignKey string `env:"HOOKSWITCH_PLUGIN_SIGN_KEY" desc:"public key (Ed25519) that verifies the signature beside HOOKSWITCH_PLUGIN_SHA256SUMS"`

	// PluginEnv names variables that plugins may see. They inherit nothing
	// else but PATH, HOME and their like.
	PluginEnv []string `env:"HOOKSWITCH_PLUGIN_ENV" desc:"names of variables that plugins may see" example:"CRM_URL,CRM_TOKEN"`

	// PluginMemory is how much memory a plugin may have, together with the
	// processes that it starts. One that has more is killed and started
	// again. 0 means no limit.
	PluginMemory ByteSize `env:"HOOKSWITCH_PLUGIN_MEMORY" envDefault:"512MiB" desc:"memory that a plugin may have; 0 for no limit"`

	PluginOpenFiles int `env:"HOOKSWITCH_PLUGIN_OPEN_FILES" envDefault:"4096" desc:"files that a plugin may have open; 0 for as many as the sidecar"`

	// PluginUser is the user, or user:group, that plugins run as if the sidecar
	// runs as root. Without it a sidecar run by root refuses to start plugins;
	// "root" allows it. The user must be able to reach the data directory.
	PluginUser string `env:"HOOKSWITCH_PLUGIN_USER" desc:"user that plugins run as, if the sidecar runs as root" example:"nobody"`
}

// With less, a plugin made with the SDK is killed soon after its start.
const (
	leastPluginMemory = 32 << 20
	leastPluginFiles  = 16
)

// validatePlugins checks what is set for plugins.
func (c *Config) validatePlugins(problem *Error) {
	if c.PluginMemory != 0 && c.PluginMemory < leastPluginMemory {
		problem.add("HOOKSWITCH_PLUGIN_MEMORY", fmt.Sprintf("must be at least %dMiB, or 0 for no limit", leastPluginMemory>>20))
	}
	if c.PluginOpenFiles != 0 && c.PluginOpenFiles < leastPluginFiles {
		problem.add("HOOKSWITCH_PLUGIN_OPEN_FILES", fmt.Sprintf("must be at least %d, or 0 for the limit of the sidecar", leastPluginFiles))
	}
	for _, name := range c.PluginEnv {
		if name, _, found := strings.Cut(name, "="); found {
			problem.add("HOOKSWITCH_PLUGIN_ENV", "has a value for "+name+": give names only, without values")
		}
	}
	if err := process.CheckEnv(c.PluginEnv); err != nil {
		problem.add("HOOKSWITCH_PLUGIN_ENV", "is not usable: "+err.Error())
	}
	c.validateTrust(problem)
}

// validateTrust checks the settings by which plugins are trusted.
func (c *Config) validateTrust(problem *Error) {
	switch catalog.TrustMode(c.PluginTrust) {
	case "", catalog.TrustDir:
	case catalog.TrustPinned, catalog.TrustSigned:
		if c.PluginSums == "" {
			problem.add("HOOKSWITCH_PLUGIN_SHA256SUMS", "is not set, and HOOKSWITCH_PLUGIN_TRUST="+c.PluginTrust+" needs it: give the path of a file that sha256sum has written")
		}
	default:
		problem.add("HOOKSWITCH_PLUGIN_TRUST", "must be dir, pinned or signed")
	}
	if c.PluginSignKey != "" {
		if _, err := catalog.ParseSignKey(c.PluginSignKey); err != nil {
			problem.add("HOOKSWITCH_PLUGIN_SIGN_KEY", err.Error())
		}
	} else if c.PluginTrust == string(catalog.TrustSigned) {
		problem.add("HOOKSWITCH_PLUGIN_SIGN_KEY", "is not set, and HOOKSWITCH_PLUGIN_TRUST=signed needs it: give the Ed25519 public key, PEM or base64")
	}
}

// Trust returns which programs are run as plugins.
func (c *Config) Trust() catalog.Trust {
	t := catalog.Trust{Mode: catalog.TrustMode(c.PluginTrust), Sums: c.PluginSums}
	t.Key, _ = catalog.ParseSignKey(c.PluginSignKey) // validated; without it nothing is signed
	return t
}

// Environ returns the variables that plugins may be given: those of the process,
// and what files add to them.
func (c *Config) Environ() []string {
	if c.loaded == nil {
		return nil
	}
	return c.loaded.environ
}

// Probe returns how this configuration starts plugins, for commands that try one
// without a sidecar.
func (c *Config) Probe() plugincheck.Config {
	state := ""
	if dir, err := c.Dir(); err == nil {
		state = filepath.Join(dir, "plugins") // as for a host
	}
	return plugincheck.Config{
		Dir: c.PluginDir, StateDir: state,
		Trust:   c.Trust(),
		Env:     c.PluginEnv,
		Environ: c.Environ(),
		Timeout: time.Duration(c.Timeout),
	}
}
