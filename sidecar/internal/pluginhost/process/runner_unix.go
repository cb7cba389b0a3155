//go:build unix

package process

import "syscall"

// killGroup sends sig to a process group.
func killGroup(pgid int, sig syscall.Signal) error { return syscall.Kill(-pgid, sig) }
