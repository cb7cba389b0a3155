//go:build unix && !linux

package main

import "syscall"

// endWithParent does nothing: there is no such signal here.
func endWithParent(*syscall.SysProcAttr) {}
