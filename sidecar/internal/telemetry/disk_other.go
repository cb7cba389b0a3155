//go:build !(linux || darwin || freebsd)

package telemetry

import "errors"

// DiskFree returns [errors.ErrUnsupported]: nobody has needed it on this system.
func DiskFree(string) (uint64, error) { return 0, errors.ErrUnsupported }

// DiskRoom returns [errors.ErrUnsupported] too.
func DiskRoom(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }
