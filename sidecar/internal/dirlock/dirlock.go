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
