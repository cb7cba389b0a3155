// Package edges guards tests of what is at the edges of the program: a small
// file system, a namespace, a standby, a pooler, a full pipe. They need more
// than Go, or take long, so that only "make edges" runs them.
//
// Such a test is called TestEdge… and begins with [Need].
package edges

import (
	"os"
	"testing"
)

// variable is set by "make edges": to "short" for a form that takes seconds.
const variable = "HOOKSWITCH_EDGES"

// Need skips the test unless the edges are to be tested.
func Need(tb testing.TB) {
	tb.Helper()
	if os.Getenv(variable) == "" {
		tb.Skipf("a test of the edges: \"make edges\" runs it, or %s=1", variable)
	}
}

// Long reports whether the test may take minutes.
func Long() bool { return os.Getenv(variable) != "" && os.Getenv(variable) != "short" }
