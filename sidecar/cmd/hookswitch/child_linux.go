package main

import (
	"errors"
	"slices"
	"syscall"
)

// endWithParent has the app told to stop when the sidecar dies without a word,
// by kill -9. The kernel tells that one process, not its children, and does not
// tell one that has become another user: the next start ends what is left then.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }

// groupAlive reports whether anything of a process group still runs. What has
// ended stays in the kernel's table until its parent has looked at it: init,
// which may take seconds, or in a container the sidecar, which never does. So
// the kernel's yes is not enough.
func groupAlive(pgid int) bool {
	if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
		return false
	}
	list, ok := groupMembers(pgid)
	return !ok || slices.ContainsFunc(list, func(m groupMember) bool { return m.state != "Z" }) // no /proc: the kernel's word is all there is
}
