//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// asInit does the duty of the first process of a container: processes whose
// parents have ended become its children, and stay in the table as zombies until
// it waits for them. Waiting for any child would take from os/exec the ends of
// the children that it waits for itself. So the first process does nothing else:
// it starts the program once more, passes signals on to it, reaps, and ends as it
// ended.
//
// It returns false if the program is not the first process, or cannot be started
// once more; then it continues by itself.
func asInit(args []string, stderr io.Writer) (code int, done bool) {
	if os.Getpid() != 1 {
		return 0, false
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals) // from before the start: none may be lost
	defer signal.Stop(signals)
	pid, err := again(args)
	if err != nil {
		fmt.Fprintf(stderr, "hookswitch: as the first process of a container it could not start itself once more (%v): it continues, and processes that plugins leave behind stay as zombies; docker run --init helps\n", err)
		return 0, false
	}
	ended := make(chan syscall.WaitStatus, 1)
	go func() { ended <- reapUntil(pid) }()
	for {
		select {
		case sig := <-signals:
			if sig, ok := sig.(syscall.Signal); ok && passedOn(sig) {
				_ = syscall.Kill(pid, sig) // it may have ended
			}
		case status := <-ended:
			if status.Signaled() {
				return 128 + int(status.Signal()), true
			}
			return status.ExitStatus(), true
		}
	}
}

// again starts this program with its arguments, its files and its environment.
// Package os does not start it: it would wait for the process as well.
func again(args []string) (pid int, err error) {
	program, err := os.Executable()
	if err != nil { // there is no /proc
		if program, err = exec.LookPath(args[0]); err != nil {
			return 0, err
		}
	}
	return syscall.ForkExec(program, args, &syscall.ProcAttr{Env: standIn(config.Environ()), Files: []uintptr{0, 1, 2}})
}

// standIn returns the environment of the process that stands in for the first:
// the first one's watchdog is meant for it. With the number of the first in
// WATCHDOG_PID it would think that the watchdog is for another process, give no
// sign of life, and be restarted again and again.
func standIn(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return entry == "WATCHDOG_PID=1" })
}

// reapUntil reaps every child that ends, and returns the status of one of them.
func reapUntil(pid int) (status syscall.WaitStatus) {
	for {
		switch found, err := syscall.Wait4(-1, &status, 0, nil); {
		case found == pid && err == nil:
			return status
		case errors.Is(err, syscall.ECHILD): // cannot be: one has not been waited for
			return 1 << 8
		}
	}
}

// passedOn reports whether a signal is for the program, rather than from the
// kernel or the runtime for this process.
func passedOn(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPROF, syscall.SIGALRM, syscall.SIGVTALRM:
		return false
	}
	return true
}
