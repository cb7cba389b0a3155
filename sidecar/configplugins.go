package sidecar

import "fmt"

// Less than this, and a plugin made with the SDK is killed when it has hardly
// begun.
const (
	leastPluginMemory = 32 << 20
	leastPluginFiles  = 16
)

// validatePlugins checks what is set for plugins.
func (c *Config) validatePlugins(problem *ConfigError) {
	if c.PluginMemory != 0 && c.PluginMemory < leastPluginMemory {
		problem.add("HOOKSWITCH_PLUGIN_MEMORY", fmt.Sprintf("must be at least %dMiB, or 0 for no limit", leastPluginMemory>>20))
	}
	if c.PluginOpenFiles != 0 && c.PluginOpenFiles < leastPluginFiles {
		problem.add("HOOKSWITCH_PLUGIN_OPEN_FILES", fmt.Sprintf("must be at least %d, or 0 for as many as the sidecar", leastPluginFiles))
	}
}
