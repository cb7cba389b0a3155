//go:build linux || darwin || freebsd

package telemetry

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DiskFree returns how many bytes an ordinary user may still write to the file
// system of a directory.
func DiskFree(dir string) (uint64, error) {
	free, _, err := DiskRoom(dir)
	return free, err
}

// DiskRoom is DiskFree, and returns how many bytes the file system has in all.
func DiskRoom(dir string) (free, total uint64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	block := uint64(fs.Bsize)
	return uint64(max(0, fs.Bavail)) * block, uint64(fs.Blocks) * block, nil //nolint:unconvert // the types differ between systems
}
