package telemetry

import "strings"

// maxLabel bounds a label whose value comes from a plugin.
const maxLabel = 64

// label makes a label of a stranger's text.
func label(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxLabel)], "")
}
