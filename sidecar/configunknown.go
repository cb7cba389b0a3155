package sidecar

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

const ownPrefix = "HOOKSWITCH_"

// serviceLink matches the variables that Kubernetes sets for services whose
// names begin with "hookswitch". They are not meant for us, and no setting may
// have such a name.
var serviceLink = regexp.MustCompile(`^HOOKSWITCH_(SERVICE_|PORT)|_SERVICE_(HOST|PORT)(_|$)|_PORT(_\d+_(TCP|UDP)(_|$)|$)`)

// unknown returns a warning for each variable that looks like a setting and is
// none. Values are not repeated: what they were meant for may be secret.
func unknown(c *Config, values map[string]string) (warnings []string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !strings.HasPrefix(name, ownPrefix) || serviceLink.MatchString(name) || slices.Contains(c.PluginEnv, name) {
			continue
		}
		n, _, _ := cutRoute(name)
		known := names(n)
		if slices.Contains(known, name) {
			continue
		}
		hint := "if it is for a plugin, add it to HOOKSWITCH_PLUGIN_ENV"
		if guess := closest(name, known); guess != "" {
			hint = "did you mean " + guess + "?"
		}
		warnings = append(warnings, name+" is no known setting and is ignored: "+hint)
	}
	return warnings
}

// names returns the names of all variables, those of routes for the n-th.
func names(n int) (list []string) {
	c := Config{Routes: []Route{{Number: n}}}
	for _, s := range c.settings() {
		list = append(list, s.variable)
		if s.isSecret() {
			list = append(list, s.fileVariable())
		}
	}
	return list
}

// reference returns the settings of a Config in general: what they are called,
// and what is said about them.
func reference() []setting {
	c := Config{Routes: []Route{{Number: -1}}}
	list := c.settings()
	for i := range list {
		list[i].variable = strings.Replace(list[i].variable, routePrefix+"-1_", routePrefix+"<n>_", 1)
	}
	return list
}

// closest returns the name that somebody may have meant, or "".
func closest(name string, names []string) (best string) {
	name = strings.TrimPrefix(name, ownPrefix)
	limit := 1 + len(name)/4 // more would be a guess at random
	for _, n := range names {
		if d := spelling.Distance(name, strings.TrimPrefix(n, ownPrefix)); d <= limit {
			best, limit = n, d-1
		}
	}
	return best
}
