//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// lead makes the command the leader of a process group, which can be ended as a
// whole.
func lead(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
