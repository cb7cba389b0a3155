//go:build unix && !linux

package main

import (
	"errors"
	"syscall"
)

// endWithParent does nothing: there is no such signal here.
func endWithParent(*syscall.SysProcAttr) {}

// groupAlive reports whether anything of a process group is left.
func groupAlive(pgid int) bool { return !errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) }
