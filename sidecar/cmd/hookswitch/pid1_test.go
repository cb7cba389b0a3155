//go:build unix

package main

import (
	"slices"
	"testing"
)

// A watchdog that is meant for the first process is for the one that does its
// work; that of another process is not.
func TestStandIn(t *testing.T) {
	environ := []string{"WATCHDOG_USEC=1000", "WATCHDOG_PID=1", "NOTIFY_SOCKET=/run/notify"}
	if got := standIn(environ); !slices.Equal(got, []string{"WATCHDOG_USEC=1000", "NOTIFY_SOCKET=/run/notify"}) {
		t.Errorf("%q", got)
	}
	if len(environ) != 3 {
		t.Error("the environment of the first was changed")
	}
	if got := standIn([]string{"WATCHDOG_PID=12"}); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
