package config

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// telnyxWaits is how long Telnyx waits for an answer (Telnyx API v2, messaging).
const telnyxWaits = 2 * time.Second

// Advice returns [Config.Warnings] and warnings about a valid configuration that
// would do what nobody wants: forward to the sidecar itself, wait for event types
// that are never sent, keep events that nobody handles. It looks into the plugin
// folder and looks up the hosts of apps.
func (c *Config) Advice() []string {
	list := append(slices.Clone(c.Warnings()), c.StandingWarnings(c.Listeners())...)
	for _, text := range catalog.CheckDir(c.PluginDir) {
		list = append(list, "HOOKSWITCH_PLUGIN_DIR: "+text)
	}
	plugins, err := catalog.List(c.PluginDir)
	if err == nil {
		for _, name := range slices.Sorted(maps.Keys(plugins)) {
			list = append(list, spelling.Strange("plugin "+name+": events", plugins[name])...)
			list = append(list, spelling.Missed("plugin "+name+": events", plugins[name], plugins[name])...)
		}
	}
	if pair, err := c.ReadCertificate(); err == nil && pair.Certificate != nil {
		if text := pair.Untimely(time.Now()); text != "" {
			list = append(list, text)
		}
	}
	var routed []string
	for _, r := range c.Routes {
		routed = append(routed, r.Match...)
	}
	for _, r := range c.Routes {
		list = append(list, spelling.Missed(r.prefix()+"MATCH", r.Match, routed)...)
		if r.Mode != "sync" {
			list = append(list, spelling.Unanswered(r.prefix()+"MATCH", r.Match)...)
		}
	}
	return append(list, c.TargetWarnings(len(plugins))...)
}

// StandingWarnings returns the warnings that hold as long as the configuration is
// in effect, with these listeners.
func (c *Config) StandingWarnings(listeners []Listener) (list []string) {
	if time.Duration(c.AckBudget) >= telnyxWaits {
		list = append(list, fmt.Sprintf("HOOKSWITCH_ACK_BUDGET is %s, but Telnyx waits 2s: it gives up before it gets the 503; 1500ms leaves time for the answer", c.AckBudget))
	}
	if c.AlertTemplate != "" && c.AlertFormat != telemetry.AlertTemplate {
		list = append(list, "HOOKSWITCH_ALERT_TEMPLATE is not used, because HOOKSWITCH_ALERT_FORMAT is "+c.AlertFormat)
	}
	for _, t := range c.targets() {
		if own, found := ownListener(context.Background(), t.url, listeners); found {
			list = append(list, fmt.Sprintf("%s leads back to this sidecar, which listens there (%s): give the URL of the app", t.variable, own.Variable))
		}
	}
	list = append(list, c.tooMuchDisk()...)
	for _, r := range c.Routes {
		list = append(list, spelling.Strange(r.prefix()+"MATCH", r.Match)...)
	}
	return list
}

// TargetWarnings returns warnings about events that no target would get, given
// the number of plugins.
func (c *Config) TargetWarnings(plugins int) (list []string) {
	dir := c.PluginDir
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	info, err := os.Stat(dir)
	wanted := c.source("HOOKSWITCH_PLUGIN_DIR").Kind != "default"
	switch {
	case err != nil && wanted:
		list = append(list, fmt.Sprintf("HOOKSWITCH_PLUGIN_DIR: %s cannot be looked into: %s: create the folder, or correct the path", dir, cause(err)))
	case err == nil && !info.IsDir():
		list = append(list, fmt.Sprintf("HOOKSWITCH_PLUGIN_DIR: %s is not a folder: give the folder of the plugins", dir))
	}
	if plugins == 0 && c.ForwardTo == "" && len(c.Routes) == 0 {
		list = append(list, fmt.Sprintf("no app and no plugin is configured: events are acknowledged and kept, and nobody gets them; set HOOKSWITCH_FORWARD_TO, or put a plugin into %s", dir))
	}
	return list
}
