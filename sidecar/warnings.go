package sidecar

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// telnyxWaits is how long Telnyx waits for an answer (Telnyx API v2, messaging).
const telnyxWaits = 2 * time.Second

// Advice returns [Config.Warnings] and what a configuration that is good would
// do that nobody can want: forward to the sidecar itself, wait for event types
// that are never sent, keep events that nobody handles. It looks into the plugin
// folder and looks up the hosts of apps.
func (c *Config) Advice() []string {
	list := append(slices.Clone(c.Warnings()), c.settled(c.listeners())...)
	for _, text := range pluginhost.CheckDir(c.PluginDir) {
		list = append(list, "HOOKSWITCH_PLUGIN_DIR: "+text)
	}
	plugins, err := pluginhost.List(c.PluginDir)
	if err == nil {
		for _, name := range slices.Sorted(maps.Keys(plugins)) {
			list = append(list, strangeTypes("plugin "+name+": events", plugins[name])...)
		}
	}
	if certificate, err := c.loadCertificate(); err == nil && certificate != nil {
		if text := untimely(certificate, time.Now()); text != "" {
			list = append(list, text)
		}
	}
	return append(list, c.withoutTargets(len(plugins))...)
}

// warnings is Config.Advice of the configuration in effect, at the addresses
// that are listened on, with the plugins that there are.
func (s *Sidecar) warnings() (list []string) {
	c := s.Config()
	list = append(slices.Clone(c.Warnings()), *s.settled.Load()...)
	list = append(list, s.certificateWarnings()...)
	plugins := s.Plugins()
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		list = append(list, strangeTypes(strings.Replace(name, ":", " ", 1)+": events", plugins[name])...)
	}
	return append(list, c.withoutTargets(len(plugins))...)
}

// settle notes what there is to warn of in c for as long as it is in effect.
func (s *Sidecar) settle(c *Config) {
	listeners := c.listeners()
	listeners[0].address, listeners[1].address = s.public.Addr().String(), s.adminNet.Addr().String()
	if s.metricsNet != nil {
		listeners = append(listeners[:2], listener{"HOOKSWITCH_METRICS_LISTEN", s.metricsNet.Addr().String()})
	}
	list := c.settled(listeners)
	s.settled.Store(&list)
}

// settled returns the warnings that stay the same while the configuration does.
func (c *Config) settled(listeners []listener) (list []string) {
	if time.Duration(c.AckBudget) >= telnyxWaits {
		list = append(list, fmt.Sprintf("HOOKSWITCH_ACK_BUDGET is %s, and Telnyx waits 2s: it has given up before it is told to send again; 1500ms leaves time for the answer", c.AckBudget))
	}
	for _, t := range c.targets() {
		if own, found := ownListener(context.Background(), t.url, listeners); found {
			list = append(list, fmt.Sprintf("%s leads back to this sidecar, which listens there (%s): give the URL of the app", t.variable, own.variable))
		}
	}
	list = append(list, c.tooMuchDisk()...)
	for _, r := range c.Routes {
		list = append(list, strangeTypes(r.prefix()+"MATCH", r.Match)...)
	}
	return list
}

// strangeTypes returns a warning for each of the patterns of event types in
// where that no event is known to fit.
func strangeTypes(where string, patterns []string) (list []string) {
	for _, p := range patterns {
		if hint := spelling.EventType(p); hint != "" {
			list = append(list, where+" has "+hint)
		}
	}
	return list
}

// withoutTargets returns warnings about events that nobody would get, with so
// many plugins.
func (c *Config) withoutTargets(plugins int) (list []string) {
	dir := c.PluginDir
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	info, err := os.Stat(dir)
	wanted := c.source("HOOKSWITCH_PLUGIN_DIR") != "default"
	switch {
	case err != nil && wanted:
		list = append(list, fmt.Sprintf("HOOKSWITCH_PLUGIN_DIR: %s cannot be looked into: %s: create the folder, or correct the path", dir, cause(err)))
	case err == nil && !info.IsDir():
		list = append(list, fmt.Sprintf("HOOKSWITCH_PLUGIN_DIR: %s is not a folder: give the one that the plugins are in", dir))
	}
	if plugins == 0 && c.ForwardTo == "" && len(c.Routes) == 0 {
		list = append(list, fmt.Sprintf("no app and no plugin is configured: events are acknowledged and kept, and nobody gets them; set HOOKSWITCH_FORWARD_TO, or put a plugin into %s", dir))
	}
	return list
}
