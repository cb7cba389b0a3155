// Package untrusted makes text from strangers fit to be logged, stored and sent back.
// It does not escape: that depends on the output, so the printer does it.
package untrusted

import "strings"

// Clip returns at most n bytes of s, cut between two letters, and marks the cut.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return Prefix(s, n) + "…"
}

// Prefix returns at most n bytes of s, cut between two letters.
func Prefix(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// Valid returns s with U+FFFD in place of bytes that are not UTF-8, for formats that
// cannot hold those, such as protobuf.
func Valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
