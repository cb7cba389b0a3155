package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// ownGroup makes the app the head of a process group of its own: Ctrl-C does
// not reach it, and Ctrl-Break reaches only it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// signalGroup sends Ctrl-Break to a process group, or ends its head with all that
// it has started. A group that has no console with this process, such as that of
// a service, cannot be asked and is ended.
func signalGroup(pgid int, kill bool) error {
	if !kill && windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(pgid)) == nil {
		return nil
	}
	if !alive(pgid) {
		return nil // it has just ended
	}
	dir, err := windows.GetSystemDirectory()
	if err != nil {
		return err
	}
	if out, err := exec.Command(filepath.Join(dir, "taskkill.exe"), "/T", "/F", "/PID", strconv.Itoa(pgid)).CombinedOutput(); err != nil && alive(pgid) {
		return fmt.Errorf("taskkill: %w: %s", err, out)
	}
	return nil
}

// groupAlive reports whether anything of a process group is left. What the head
// has left behind when it ended is not known to be of the group any more.
func groupAlive(pgid int) bool { return alive(pgid) }

// passSignals does nothing: there are no such signals here.
func passSignals(*exec.Cmd, <-chan struct{}) {}

func exitCode(state *os.ProcessState) int { return state.ExitCode() }

// alive reports whether a process has not ended. Its number is not another's
// as long as somebody holds on to it.
func alive(pid int) (is bool) {
	_ = inspect(pid, func(h windows.Handle) error {
		var code uint32
		err := windows.GetExitCodeProcess(h, &code)
		is = err == nil && code == stillActive
		return err
	})
	return is
}

const stillActive = 259 // STILL_ACTIVE

// startOf returns when a process was started.
func startOf(pid int) string {
	var created, exited, kernel, user windows.Filetime
	err := inspect(pid, func(h windows.Handle) error {
		return windows.GetProcessTimes(h, &created, &exited, &kernel, &user)
	})
	if err != nil {
		return ""
	}
	return strconv.FormatInt(created.Nanoseconds(), 10)
}

func inspect(pid int, do func(windows.Handle) error) error {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return err
	}
	return errors.Join(do(h), windows.CloseHandle(h))
}

// isLeftover reports whether the process that was started is still there.
func isLeftover(last appRun) bool {
	return last.Started != "" && startOf(last.Group) == last.Started && alive(last.Group)
}

// groupOf returns 0: the environment of others is not to be read.
func groupOf(string) int { return 0 }
