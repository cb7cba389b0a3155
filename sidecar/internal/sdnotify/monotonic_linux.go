package sdnotify

import "golang.org/x/sys/unix"

// monotonic returns the clock by which systemd orders reloads, in
// microseconds.
func monotonic() (int64, bool) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, false
	}
	return ts.Nano() / 1000, true
}
