// Package dirlock makes sure that a data directory has one owner at a time.
package dirlock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// errLocked is what tryLock returns when another open file has the lock.
var errLocked = errors.New("locked")

// Lock is the ownership of a data directory. The operating system releases
// it when the process ends, however it ends, so there is never a stale one to
// clean up. The file itself stays: removing it would let two processes lock
// two files of the same name.
type Lock struct{ f *os.File }

// Take makes this process the owner of dir, until Close. The error says who
// is, if that is another one; dir must exist.
func Take(dir string) (*Lock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("data directory %s is in use by %s: stop that process or give this one a directory of its own", dir, owner(f))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// Only for the error message of the next one.
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f}, nil
}

func owner(f *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(b)))
	switch {
	case err != nil || convErr != nil:
		return "another process"
	case pid == os.Getpid():
		return fmt.Sprintf("this process (pid %d)", pid)
	default:
		return fmt.Sprintf("another process (pid %d)", pid)
	}
}

// Close gives the directory up.
func (l *Lock) Close() error { return l.f.Close() }
