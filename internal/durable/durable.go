// Package durable writes files that survive a crash and a power cut: whole or
// not at all, and on the disk when the call returns. It is the one place that knows
// the order of steps for that. It is for small files that are replaced as a whole; it
// keeps no log and locks nothing.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Temp begins the names of files, and of directories, that are being written. A
// crash leaves them behind until [Sweep].
const Temp = ".new-"

// Sweep removes the temporary files that crashes have left in a directory. It is
// for the owner of the directory, when it starts. A [WriteFile] or [CreateFile] of
// another process that loses its file to a sweep writes it again.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), Temp) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// WriteFile makes data the content of the file at path, which only its owner
// may read (mode 0600). An existing file is replaced. The order of effects:
//
//  1. a temporary file in the same directory is written and synced,
//  2. it is renamed to path,
//  3. the directory is synced. Safe point: a crash before it leaves the old
//     content or the new one, never a mixture.
func WriteFile(path string, data []byte) error { return write(path, data, os.Rename) }

// CreateFile is WriteFile for a file that must not exist yet. If there is one
// the error is [fs.ErrExist], and of several callers at the same time one
// succeeds.
func CreateFile(path string, data []byte) error { return write(path, data, os.Link) }

func write(path string, data []byte, put func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, Temp+"*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone if it was renamed
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := put(f.Name(), path); err != nil {
		if _, gone := os.Lstat(f.Name()); errors.Is(gone, fs.ErrNotExist) {
			return write(path, data, put) // swept by the owner, which has just started
		}
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory durable: files created in it, renamed or
// removed. A directory that may not be read is skipped, and so are those of Windows,
// where NTFS journals names.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
