//go:build unix

package process

import "syscall"

// local says that this system can run plugins, not only connect to them.
const local = true

// killGroup sends sig to a process group.
func killGroup(pgid int, sig syscall.Signal) error { return syscall.Kill(-pgid, sig) }
