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

// isLeftover reports whether the started process is still there. Once it has
// gone nobody can tell whose its children are, since the environment of others
// cannot be read here.
func isLeftover(last appRun) bool {
	return last.Started != "" && startOf(last.Group) == last.Started && groupAlive(last.Group)
}

// groupOf returns 0: the environment of others cannot be read here.
func groupOf(string) int { return 0 }
