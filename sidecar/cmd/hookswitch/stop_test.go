package main

import (
	"fmt"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// stops LIMIT: tells the sidecar to stop, and fails if that takes longer.
func cmdStops(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	here, err := instance.Find(ts.Getenv("HOOKSWITCH_DATA_DIR"))
	ts.Check(err)
	start := time.Now()
	ts.Check(kill(here.PID, syscall.SIGTERM))
	soon(ts, func() error {
		if kill(here.PID, 0) == nil {
			return fmt.Errorf("process %d is still there", here.PID)
		}
		return nil
	})
	if took := time.Since(start); took > limit {
		ts.Fatalf("it took %v to stop, the bound is %v", took, limit)
	} else {
		ts.Logf("stopped within %v", took.Round(time.Millisecond))
	}
}

// insist: tells the sidecar to stop, again and again, until it is gone.
func cmdInsist(ts *testscript.TestScript, _ bool, _ []string) {
	here, err := instance.Find(ts.Getenv("HOOKSWITCH_DATA_DIR"))
	ts.Check(err)
	soon(ts, func() error {
		if kill(here.PID, syscall.SIGTERM) == nil {
			return fmt.Errorf("process %d is still there", here.PID)
		}
		return nil
	})
}
