package spelling

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// EventType returns a warning about a pattern of event types that no known event
// fits, with a guess at the intended one, and "" for any other pattern. Such a
// pattern may still be right: Telnyx adds event types.
func EventType(pattern string) string {
	if use, wrong := event.Misnomer(pattern); wrong {
		return fmt.Sprintf("%q, which Telnyx never sends: use %q", pattern, use)
	}
	if Known(pattern) || event.CheckPattern(pattern) != nil { // which says itself what is wrong
		return ""
	}
	if guess := MeantType(pattern); guess != "" {
		return fmt.Sprintf("%q, which is not a known event type: did you mean %q?", pattern, guess)
	}
	return fmt.Sprintf("%q, which is not a known event type: see \"hookswitch trigger --list\"", pattern)
}

// Strange returns a warning for each of the patterns of event types in
// where that no event is known to fit.
func Strange(where string, patterns []string) (list []string) {
	for _, p := range patterns {
		if hint := EventType(p); hint != "" {
			list = append(list, where+" has "+hint)
		}
	}
	return list
}

// Known reports whether a known event type fits a pattern.
func Known(pattern string) bool {
	if event.Canonical(pattern) != pattern { // the name of API v1
		return true
	}
	return slices.ContainsFunc(event.Names(), func(name string) bool { return event.Match(pattern, name) })
}

// MeantType returns the event type, or for a pattern with a star the pattern,
// that may have been meant by an unknown one, or "".
func MeantType(pattern string) string {
	prefix, star := strings.CutSuffix(pattern, "*")
	words := event.Names()
	if star {
		var groups []string
		for _, name := range words {
			for i := range name {
				if name[i] == '.' && !slices.Contains(groups, name[:i+1]) {
					groups = append(groups, name[:i+1])
				}
			}
		}
		words = groups
	}
	guess := Closest(strings.ToLower(prefix), words)
	if guess != "" && star {
		guess += "*"
	}
	return guess
}

// Closest returns the word that may have been meant, or "".
func Closest(word string, words []string) (best string) {
	limit := 1 + len(word)/4 // more would be a guess at random
	for _, w := range words {
		if d := Distance(word, w); d <= limit {
			best, limit = w, d-1
		}
	}
	return best
}
