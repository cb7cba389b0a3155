package main

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

// endGroup ends the app: there is no other way to tell it.
func endGroup(cmd *exec.Cmd, _ bool) error {
	if cmd.Process == nil {
		return nil
	}
	return cmd.Process.Kill()
}

// groupAlive is false: there are no groups, and what the app has started is its
// own business.
func groupAlive(int) bool { return false }

func passSignals(*exec.Cmd, <-chan struct{}) {}

func exitCode(state *os.ProcessState) int { return state.ExitCode() }
