// Package until waits for what another process does: there is nothing else to wait
// for, so it is asked again and again.
package until

import "time"

// every is how often is asked.
const every = 10 * time.Millisecond

// Test is the part of a testing.TB, or of a testscript.TestScript, that is needed.
type Test interface {
	Fatalf(format string, args ...any)
}

// Nil calls f until it returns nil, and fails the test with its last error when
// patience ends, which is only spent on failure. what is what is waited for.
func Nil(t Test, patience time.Duration, what string, f func() error) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	deadline, tick := time.NewTimer(patience), time.NewTicker(every)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("waited %v for %s: %v", patience, what, err)
			return
		case <-tick.C:
		}
	}
}
