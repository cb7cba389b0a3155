package spelling

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// EventType returns a warning about a pattern of event types that no known event
// fits, with a guess at the intended one, or only events that cannot be received,
// and "" for any other pattern. A pattern that none fits may still be right: Telnyx
// adds event types.
func EventType(pattern string) string {
	if use, wrong := event.Misnomer(pattern); wrong {
		return fmt.Sprintf("%q, which Telnyx never sends: %s", pattern, instead(use))
	}
	received := func(name string) bool {
		info, _ := event.Lookup(name)
		return event.Match(event.Canonical(pattern), name) && info.Signature != event.SignedHMAC
	}
	switch known := Known(pattern); {
	case known && !slices.ContainsFunc(event.Names(), received):
		return fmt.Sprintf("%q, which cannot be received: Telnyx signs it in a way that is not verified here", pattern)
	case known, event.CheckPattern(pattern) != nil: // which says itself what is wrong
		return ""
	}
	if guess := MeantType(pattern); guess != "" {
		return fmt.Sprintf("%q, which is not a known event type: did you mean %q?", pattern, guess)
	}
	return fmt.Sprintf("%q, which is not a known event type: \"hookswitch events types\" lists those", pattern)
}

// instead says what to use in place of a name that Telnyx never sends.
func instead(use string) string {
	if use == "" {
		return "nothing is known to come in its place"
	}
	return fmt.Sprintf("use %q", use)
}

// Missed returns a warning for each of the patterns in where that looks as if it
// should fit known event types which no pattern in all fits: "call.*" does not
// fit "calls.voicemail.completed".
func Missed(where string, patterns, all []string) (list []string) {
	for _, p := range patterns {
		meant, star := strings.CutSuffix(p, ".*")
		var missed []string
		for _, name := range event.Names() {
			group, _, _ := strings.Cut(name, ".")
			alike := group != meant && strings.TrimSuffix(group, "s") == strings.TrimSuffix(meant, "s")
			if star && alike && !slices.ContainsFunc(all, func(p string) bool { return event.Match(p, name) }) {
				missed = append(missed, name)
			}
		}
		switch len(missed) {
		case 0:
		case 1:
			list = append(list, fmt.Sprintf("%s has %q, which does not fit %q: add that if it is meant", where, p, missed[0]))
		default:
			group, _, _ := strings.Cut(missed[0], ".")
			list = append(list, fmt.Sprintf("%s has %q, which does not fit the %d event types of %q: add that if they are meant", where, p, len(missed), group+".*"))
		}
	}
	return list
}

// Unanswered returns a warning for each of the patterns of event types in where
// that fits events whose sender wants an answer, which it does not get there.
func Unanswered(where string, patterns []string) (list []string) {
	for _, p := range patterns {
		var names []string
		answer := ""
		for _, name := range event.Names() {
			if info, _ := event.Lookup(name); p != "*" && info.Answer != "" && event.Match(p, name) {
				names, answer = append(names, name), info.Answer
			}
		}
		if len(names) > 0 {
			list = append(list, fmt.Sprintf("%s has %q: Telnyx wants an answer (%s) to %s, which only a route with MODE=sync gives", where, p, answer, strings.Join(names, ", ")))
		}
	}
	return list
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
