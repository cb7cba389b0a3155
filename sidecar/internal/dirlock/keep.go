package dirlock

import (
	"fmt"
	"os"
)

// Keep makes sure that what is locked is still the file at its path, by which
// another process would lock the directory. If it is not, because somebody has
// removed or replaced it, the new one is locked; the error says who has done so
// before. It may be called concurrently, but not with Close.
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
