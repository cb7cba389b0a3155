//go:build unix

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// RunDir is the directory in which the plugins' sockets are made. Only this
// user may enter it, and only one host at a time uses it.
type RunDir struct {
	path string
	lock *os.File // flock held while open
}

const (
	socketDirPrefix = "plugin-dir" // go-plugin's choice

	// socketTail is the most that go-plugin appends to the directory for a
	// socket: a directory and a file, each with a random number of up to ten
	// digits, and two slashes.
	socketTail = 1 + len(socketDirPrefix) + 10 + 1 + len("plugin") + 10
)

// runDirMax returns how long the path of a RunDir may be: the kernel cuts the
// path of a socket at the size of sun_path, the final zero included.
func runDirMax() int {
	sunPath := 104
	if runtime.GOOS == "linux" {
		sunPath = 108
	}
	return sunPath - 1 - socketTail
}

// CheckRunDir returns the absolute path of dir, or why no socket can be there.
func CheckRunDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no directory for the sockets of plugins: set RunDir")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the run directory: %w", err)
	}
	if most := runDirMax(); len(abs) > most {
		return "", fmt.Errorf("run directory %q has %d bytes, and the path of a socket leaves room for %d: choose a shorter one", abs, len(abs), most)
	}
	return abs, nil
}

// OpenRunDir creates the directory if needed, locks it and removes what a killed
// host has left in it.
//
// If plugins run as another user, that user may pass through it, to a directory
// that is its own.
func OpenRunDir(path string, a *Account) (*RunDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the run directory: %w", err)
	}
	closed := os.FileMode(0o077)
	if a != nil {
		closed = 0o066
		if err := os.Chmod(path, 0o711); err != nil {
			return nil, fmt.Errorf("open the run directory for the user of plugins: %w", err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("check the run directory: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Getuid() {
		return nil, fmt.Errorf("run directory %s belongs to user %d, not to %d: choose another", path, stat.Uid, os.Getuid())
	}
	if perm := info.Mode().Perm(); perm&closed != 0 {
		return nil, fmt.Errorf("run directory %s is open to others (mode %#o), who could then talk to plugins: chmod 700 %s", path, perm, path)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the run directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock the run directory: %w: is another sidecar using %s?", err, path)
	}
	d := &RunDir{path: path, lock: lock}
	if err := d.sweep(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// sweep removes the socket directories of plugins. With the lock held and no
// plugin started, all that are there are stale.
func (d *RunDir) sweep() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("sweep the run directory: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), socketDirPrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.path, e.Name())); err != nil {
			return fmt.Errorf("sweep the run directory: %w", err)
		}
	}
	return nil
}

// Close frees the directory for another host.
func (d *RunDir) Close() { d.lock.Close() }
