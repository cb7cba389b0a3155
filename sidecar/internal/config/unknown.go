package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

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
		if !strings.HasPrefix(name, ownPrefix) || serviceLink.MatchString(name) || slices.Contains(c.PluginEnv, name) || retired[name] != "" {
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
		warnings = append(warnings, name+" is not a known setting and is ignored: "+hint)
	}
	return warnings
}

// names returns the names of all variables, those of routes for the n-th.
func names(n int) (list []string) {
	c := Config{Forwarding: Forwarding{Routes: []Route{{Number: n}}}}
	for _, s := range c.settings() {
		list = append(list, s.variable)
		if s.isSecret() {
			list = append(list, s.fileVariable())
		}
	}
	return list
}

// reference returns the settings of any Config, with their names and tags.
func reference() []setting {
	c := Config{Forwarding: Forwarding{Routes: []Route{{Number: -1}}}}
	list := c.settings()
	for i := range list {
		list[i].variable = strings.Replace(list[i].variable, routePrefix+"-1_", routePrefix+"<n>_", 1)
	}
	return list
}

// closest returns the name that was probably meant, or "".
func closest(name string, names []string) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = strings.TrimPrefix(n, ownPrefix)
	}
	word := spelling.Closest(strings.TrimPrefix(name, ownPrefix), words)
	if i := slices.Index(words, word); i >= 0 {
		return names[i]
	}
	return ""
}

// quotes returns the variables of settings whose values are enclosed in
// quotes. A shell and a file of variables remove them; docker -e and lists in
// compose files do not.
func quotes(c *Config, values map[string]string) (quoted []string) {
	for _, s := range c.settings() {
		for _, name := range []string{s.variable, s.fileVariable()} {
			if isQuoted(values[name]) && (name == s.variable || s.isSecret()) {
				quoted = append(quoted, name)
			}
		}
	}
	return quoted
}

func isQuoted(value string) bool {
	value = strings.TrimSpace(value)
	first, n := utf8.DecodeRuneInString(value)
	last, m := utf8.DecodeLastRuneInString(value)
	if len(value) < n+m {
		return false
	}
	for _, pair := range []string{`""`, `''`, "“”", "‘’", "``", "„“", "«»"} {
		if r := []rune(pair); r[0] == first && r[1] == last {
			return true
		}
	}
	return false
}

// quotesLeft returns a warning for each variable whose value is enclosed in
// quotes. One that is wrong in itself has the hint in its problem instead.
func quotesLeft(quoted []string, problem *Error) (warnings []string) {
	const hint = "the quotes around the value are part of it: remove them"
	for _, name := range quoted {
		i := slices.IndexFunc(problem.Problems, func(p Problem) bool { return p.Variable == name })
		if i >= 0 {
			problem.Problems[i].Text += " (" + hint + ")"
			continue
		}
		warnings = append(warnings, name+": "+hint)
	}
	return warnings
}
