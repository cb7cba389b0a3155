package process

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

func processAttr(a *Account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
		Credential: a.credential(),
	}
}

// awaitExit waits until the process has ended, without reaping it. It reports
// false if it cannot do that.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
