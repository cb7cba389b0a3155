package catalog

import "errors"

// finalError is an error that trying again cannot fix: the file, its settings or
// what the operator allows has to change.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// Final marks an error as one that trying again cannot fix: the file, its settings
// or what the operator allows has to change. A file that is being written is not
// such an error.
func Final(err error) error {
	if err == nil || errors.Is(err, errChanging) {
		return err
	}
	return finalError{err}
}

// IsFinal reports whether an error was marked by Final.
func IsFinal(err error) bool {
	_, ok := errors.AsType[finalError](err)
	return ok
}
