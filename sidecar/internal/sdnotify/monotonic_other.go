//go:build !linux

package sdnotify

// monotonic returns nothing: systemd is on Linux only.
func monotonic() (int64, bool) { return 0, false }
