package main

import (
	"os/exec"
	"syscall"
)

// lead makes the command the leader of a process group, which can be ended as a
// whole, and has the kernel kill it when this plugin dies.
func lead(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
