//go:build unix

package main

import "syscall"

// kill sends a signal to a process; 0 only asks whether it is there.
func kill(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }
