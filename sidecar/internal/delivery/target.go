package delivery

import (
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// Kind is what a target is. It begins the target's name, which is how jobs,
// routes, metrics and people refer to it: "plugin:archive", "forward:default".
type Kind string

// The kinds of targets.
const (
	Plugin  Kind = "plugin"  // a program in the plugin folder, or a remote plugin
	Forward Kind = "forward" // an app, by HTTP
)

// Target returns the name of the target that is called name among its kind.
func (k Kind) Target(name string) string { return string(k) + ":" + name }

// Cut returns what the target is called among its kind, and whether it is of
// this kind. If it is not, name is the target as it is.
func (k Kind) Cut(target string) (name string, ok bool) {
	return strings.CutPrefix(target, string(k)+":")
}

// Wanted reports whether one of a target's patterns takes an event type: exact,
// "message.*" or "*".
func Wanted(patterns []string, eventType string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return event.Match(p, eventType) })
}
