//go:build !linux

package pgtest

import (
	"os/exec"
	"syscall"
)

func process(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Setpgid: true}
}

func start(cmd *exec.Cmd) error { return cmd.Start() }
