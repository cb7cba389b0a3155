package telemetry

import "strings"

// maxLabel bounds a label whose value is what a plugin says of itself.
const maxLabel = 64

// label makes a label of what a stranger says.
func label(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxLabel)], "")
}

// valid replaces what no label and no attribute can hold.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
