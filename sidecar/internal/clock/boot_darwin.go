package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// boot returns how long the machine has been up. The clock that Go uses stops
// while it sleeps, and this one does not; see clock_gettime(3).
func boot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
