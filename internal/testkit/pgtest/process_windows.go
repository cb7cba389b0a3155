package pgtest

import (
	"os/exec"
	"syscall"
)

func process(*account) *syscall.SysProcAttr { return nil }

func start(cmd *exec.Cmd) error { return cmd.Start() }
