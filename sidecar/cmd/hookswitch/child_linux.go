package main

import "syscall"

// endWithParent has the app told to stop when the sidecar dies without a word,
// by kill -9.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }
