//go:build unix

package listen

import "syscall"

// Limit returns how many files this process may have open, or 0 if unknown. Go
// has raised it to the maximum that the system allows.
func Limit() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Cur)
}
