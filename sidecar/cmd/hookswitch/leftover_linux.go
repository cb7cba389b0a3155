package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// groupMember is a process of a group.
type groupMember struct {
	pid     int
	state   string
	started string // in ticks of the clock since the system was started
}

// groupMembers returns the processes of a group, including those that have ended
// but were not waited for. ok is false if the system does not provide them.
func groupMembers(pgid int) (list []groupMember, ok bool) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, name := range files {
		text, _ := os.ReadFile(name) // it may be gone
		// "PID (NAME) STATE PPID PGRP …": the name may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 20 || string(fields[2]) != strconv.Itoa(pgid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err == nil {
			list = append(list, groupMember{pid, string(fields[0]), string(fields[19])})
		}
	}
	return list, len(files) > 0
}

// startOf returns when a process that leads its group was started, in a form
// that differs between two starts with one number.
func startOf(pid int) string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it a reboot may go unnoticed
	list, _ := groupMembers(pid)
	for _, m := range list {
		if m.pid == pid {
			return fmt.Sprintf("%s in %s", m.started, strings.TrimSpace(string(boot)))
		}
	}
	return ""
}

// isLeftover reports whether a process of the group is the app's.
func isLeftover(last appRun) bool {
	if last.Group == syscall.Getpgrp() {
		return false // a sidecar inside an app does not end itself
	}
	list, _ := groupMembers(last.Group)
	return slices.ContainsFunc(list, func(m groupMember) bool {
		if m.state == "Z" {
			return false
		}
		if m.pid == last.Group && last.Started != "" && startOf(m.pid) == last.Started {
			return true
		}
		return isMarked(strconv.Itoa(m.pid), last.Mark)
	})
}

// isMarked reports whether a process has the mark of an app.
func isMarked(pid, mark string) bool {
	environ, _ := os.ReadFile("/proc/" + pid + "/environ") // of another user: not ours
	return mark != "" && slices.Contains(strings.Split(string(environ), "\x00"), appMark+"="+mark)
}

// groupOf returns the process group of a process that has the mark of an app,
// or 0.
func groupOf(mark string) int {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well-formed
	for _, name := range files {
		pid := filepath.Base(filepath.Dir(name))
		if !isMarked(pid, mark) {
			continue
		}
		if n, err := strconv.Atoi(pid); err == nil {
			if group, err := syscall.Getpgid(n); err == nil {
				return group
			}
		}
	}
	return 0
}
