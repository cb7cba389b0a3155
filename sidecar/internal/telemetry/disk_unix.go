//go:build linux || darwin || freebsd

package telemetry

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DiskFree returns how many bytes an ordinary user may still write to the file
// system of a directory.
func DiskFree(dir string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return uint64(max(0, fs.Bavail)) * uint64(fs.Bsize), nil //nolint:unconvert // the types differ between systems
}
