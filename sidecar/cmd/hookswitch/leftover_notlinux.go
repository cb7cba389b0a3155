//go:build unix && !linux

package main

import (
	"os/exec"
	"strconv"
	"strings"
)

// startOf returns when a process was started.
func startOf(pid int) string {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// isLeftover reports whether the process that was started is still there. Of
// what it has started, where the environment of others is not to be read,
// nobody can tell whose it is once that has gone.
func isLeftover(last appRun) bool {
	return last.Started != "" && startOf(last.Group) == last.Started && groupAlive(last.Group)
}

// groupOf returns 0: the environment of others is not to be read.
func groupOf(string) int { return 0 }
