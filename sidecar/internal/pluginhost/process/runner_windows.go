package process

import (
	"errors"
	"syscall"
)

// local says that this system cannot run plugins: there are no process groups,
// and no parent-death signal, to end them with.
const local = false

func processAttr(*Account) *syscall.SysProcAttr { return nil }
func awaitExit(int) bool                        { return false }
func killGroup(int, syscall.Signal) error       { return errors.ErrUnsupported }
