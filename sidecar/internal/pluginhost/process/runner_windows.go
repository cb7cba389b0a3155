package process

import (
	"errors"
	"syscall"
)

func processAttr(*Account) *syscall.SysProcAttr { return nil }
func awaitExit(int) bool                        { return false }
func killGroup(int, syscall.Signal) error       { return errors.ErrUnsupported }
