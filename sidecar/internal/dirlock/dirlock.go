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
	"sync"

	"github.com/hookswitch/hookswitch/internal/durable"
)

// errLocked is the error of tryLock when another open file has the lock.
var errLocked = errors.New("locked")

// Lock is the ownership of a data directory. The operating system releases
// it when the process ends, however it ends, so there is never a stale one to
// clean up. The file itself stays: removing it would let two processes lock
// two files of the same name.
type Lock struct {
	mu sync.Mutex
	f  *os.File // guarded by mu
}

// Take makes this process the owner of dir, until Close, and removes what a crash
// of an earlier owner left half written there. If another process owns dir, the
// error names it; dir must exist.
func Take(dir string) (*Lock, error) {
	f, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	_ = durable.Sweep(dir) // nobody reads what is left; the next owner tries again
	return &Lock{f: f}, nil
}

func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("data directory %s is in use by %s: stop that process or give this one a directory of its own", filepath.Dir(path), owner(f))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// Only for the error message of the next one, so a full disk is no reason
	// to fail.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
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
func (l *Lock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}

// Keep makes sure that the locked file is still the one at its path, where
// another process would lock the directory. If it is not, because somebody
// removed or replaced it, Keep locks the new one; the error names a process that
// did so first. It may be called concurrently, but not with Close.
func (l *Lock) Keep() (retaken bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := l.f.Name()
	have, err := l.f.Stat()
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", path, err)
	}
	if at, err := os.Stat(path); err == nil && os.SameFile(have, at) {
		return false, nil
	}
	f, err := lock(path)
	if err != nil {
		return false, err
	}
	old := l.f
	l.f = f
	return true, old.Close()
}
