package delivery

import (
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// Kind is the kind of a target. It begins the target's name, by which jobs, routes,
// metrics and people refer to it: "plugin:archive", "forward:default".
type Kind string

// The kinds of targets.
const (
	Plugin  Kind = "plugin"  // a program in the plugin folder, or a remote plugin
	Forward Kind = "forward" // an app, by HTTP
)

// Target returns the full name of the target called name among its kind.
func (k Kind) Target(name string) string { return string(k) + ":" + name }

// Cut returns the target's name among its kind, and whether it is of this kind. If
// not, name is the unchanged target.
func (k Kind) Cut(target string) (name string, ok bool) {
	return strings.CutPrefix(target, string(k)+":")
}

// Wanted reports whether one of a target's patterns matches an event type: exact,
// "message.*" or "*".
func Wanted(patterns []string, eventType string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return event.Match(p, eventType) })
}
