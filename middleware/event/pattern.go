package event

import (
	"fmt"
	"strings"
)

// Match reports whether an event type fits a pattern: "*" fits every event,
// including one without a type; "message.*" fits every type that begins with
// "message."; any other pattern fits the type that is spelled the same. A name
// of API v1 fits whatever its [Canonical] name fits, too.
func Match(pattern, eventType string) bool {
	if match(pattern, eventType) {
		return true
	}
	canonical := Canonical(eventType)
	return canonical != eventType && match(pattern, canonical)
}

func match(pattern, eventType string) bool {
	if pattern == "*" {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return len(eventType) > len(prefix) && strings.HasPrefix(eventType, prefix)
	}
	return pattern != "" && pattern == eventType
}

// CheckPattern returns nil for a pattern that [Match] understands, and
// otherwise an error that says what is wrong with it. A star may stand only
// alone or after a final dot.
func CheckPattern(pattern string) error {
	switch star := strings.IndexByte(pattern, '*'); {
	case pattern == "":
		return fmt.Errorf("event: empty pattern: use an event type, a prefix such as %q, or %q", "message.*", "*")
	case strings.ContainsAny(pattern, " \t\r\n,"):
		return fmt.Errorf("event: pattern %q contains a space or a comma: give one event type or prefix a pattern", pattern)
	case star < 0 || pattern == "*":
		return nil
	case star != len(pattern)-1 || !strings.HasSuffix(pattern, ".*") || pattern == ".*":
		return fmt.Errorf("event: pattern %q: a star may stand only alone or at the end after a dot, as in %q", pattern, "message.*")
	}
	return nil
}
