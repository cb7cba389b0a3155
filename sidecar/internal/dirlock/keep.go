package dirlock

import (
	"fmt"
	"os"
)

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
