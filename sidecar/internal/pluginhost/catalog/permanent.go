package catalog

import "errors"

type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// Final marks an error that retrying cannot fix: the file, its settings or the
// operator's rules must change first. It does not mark the error about a file
// that is still being written.
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
