package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// boot returns how long the machine has been up. CLOCK_MONOTONIC, which Go
// uses, stops while it is suspended.
func boot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
