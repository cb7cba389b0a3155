//go:build unix

package main

import (
	"os"
	"syscall"
)

// wait waits until no other process has the file locked, and locks it.
func wait(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
