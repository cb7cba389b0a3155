package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// endWithParent has the app told to stop when the sidecar dies without a word,
// by kill -9.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }

// groupAlive reports whether anything of a process group still runs. What has
// ended stays in the kernel's table until its parent has looked at it: init,
// which may take seconds, or in a container the sidecar, which never does. So
// the kernel's yes is not enough.
func groupAlive(pgid int) bool {
	if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
		return false
	}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, name := range files {
		text, _ := os.ReadFile(name) // it may be gone
		// "PID (NAME) STATE PPID PGRP …": the name may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) > 2 && string(fields[2]) == strconv.Itoa(pgid) && string(fields[0]) != "Z" {
			return true
		}
	}
	return len(files) == 0 // no /proc: the kernel's word is all there is
}
