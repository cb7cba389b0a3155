package main

import (
	"errors"
	"slices"
	"syscall"
)

// endWithParent makes the kernel stop the app when the sidecar is killed by kill
// -9. The kernel only tells that one process, not its children, and not one that
// has become another user: the next start ends what is left.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }

// groupAlive reports whether anything of a process group still runs. A process
// that has ended stays in the kernel's table until its parent has waited for it:
// init, which may take seconds, or in a container the sidecar, which never does.
// So the kernel's yes is not enough.
func groupAlive(pgid int) bool {
	if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
		return false
	}
	list, ok := groupMembers(pgid)
	return !ok || slices.ContainsFunc(list, func(m groupMember) bool { return m.state != "Z" }) // no /proc: only the kernel's answer is left
}
