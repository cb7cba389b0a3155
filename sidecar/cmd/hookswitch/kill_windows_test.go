package main

import (
	"errors"
	"os"
	"syscall"
)

// kill ends a process; with 0 it only asks whether it is there.
func kill(pid int, sig syscall.Signal) error {
	switch p, err := os.FindProcess(pid); {
	case err != nil:
		return err
	case sig != 0:
		return p.Kill()
	case !alive(pid):
		return errors.New("it has ended")
	}
	return nil
}
