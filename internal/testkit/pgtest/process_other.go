//go:build unix && !linux

package pgtest

import (
	"os/exec"
	"syscall"
)

func process(as *account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as.credential(), Setpgid: true}
}

func start(cmd *exec.Cmd) error { return cmd.Start() }
