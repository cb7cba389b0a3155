package pgtest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// process makes the server end with the test program, however that ends.
func process(as *account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as.credential(), Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}

// start starts cmd from a thread that lives as long as this program: Linux
// sends the signal when the thread ends that started the process.
func start(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		select {}
	}()
	return <-started
}
