//go:build unix && !linux

package process

import "syscall"

// processAttr has no parent-death signal: only Linux and FreeBSD have it. Here the
// lifeline ends plugins.
func processAttr(a *Account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: a.credential()}
}

// awaitExit cannot tell without reaping the process.
func awaitExit(int) bool { return false }
