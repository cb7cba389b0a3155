//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// ownGroup makes the app the leader of a process group of its own.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
}

// signalGroup sends SIGTERM, or SIGKILL, to a process group.
func signalGroup(pgid int, kill bool) error {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	err := syscall.Kill(-pgid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil // it has just ended
	}
	return err
}

// passSignals passes on the signals that mean something to an app but nothing to
// the sidecar, until the app has ended. SIGHUP is not among them: it makes the
// sidecar read its configuration again, and would end many apps.
func passSignals(cmd *exec.Cmd, ended <-chan struct{}) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case sig := <-signals:
				_ = cmd.Process.Signal(sig) // it may have ended
			case <-ended:
				return
			}
		}
	}()
}

// exitCode returns the code as a shell does: 128 plus the signal for an app that
// was killed.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
