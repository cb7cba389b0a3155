package process

import (
	"fmt"
	"slices"
	"strings"
)

// passedAlways are the variables that every program needs: to find other programs
// and its user's files, for language and time, and for the way to the network.
// None of them is the sidecar's own.
var passedAlways = []string{
	"PATH", "HOME", "TMPDIR", "LANG", "TZ",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
	"http_proxy", "https_proxy", "all_proxy", "no_proxy",
}

// Environ returns the environment of a plugin, without go-plugin's additions:
// those variables of the host's environment that are allowed. A plugin
// inherits nothing else, so that it does not learn the sidecar's keys.
func Environ(host, extra []string) []string {
	var env []string
	for _, variable := range host {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(passedAlways, name) || slices.Contains(extra, name) {
			env = append(env, variable)
		}
	}
	return env
}

// CheckEnv checks the names of variables that plugins are to get.
func CheckEnv(names []string) error {
	for _, name := range names {
		switch {
		case name == "" || strings.ContainsAny(name, "= \t,"):
			return fmt.Errorf("%q is not the name of an environment variable: give names only, without values", name)
		case strings.HasPrefix(name, "PLUGIN_") || name == CookieKey:
			return fmt.Errorf("the environment variable %s cannot be passed to plugins: it is part of the handshake", name)
		case name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" || name == "WATCHDOG_PID":
			return fmt.Errorf("the environment variable %s cannot be passed to plugins: what they told systemd would pass for the sidecar's own word", name)
		}
	}
	return nil
}
