package pluginhost

import (
	"errors"
	"strings"
	"syscall"
)

// finalError is an error that trying again cannot mend: the file, its settings
// or what the operator allows has to change.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func final(err error) error {
	if err == nil || errors.Is(err, errChanging) {
		return err
	}
	return finalError{err}
}

// isFinal reports whether an error stays the same however often the plugin is
// started.
func isFinal(err error) bool {
	if _, ok := errors.AsType[finalError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*refusal](err); ok {
		return true
	}
	if errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.EACCES) {
		return true
	}
	text := err.Error() // go-plugin has no other way to tell
	return strings.Contains(text, "incompatible API version") || strings.Contains(text, "unsupported plugin protocol") ||
		strings.Contains(text, "Unsupported plugin protocol")
}
