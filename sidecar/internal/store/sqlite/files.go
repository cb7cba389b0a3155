package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	driver "modernc.org/sqlite"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// A file that is open can be removed or replaced, and a directory moved or
// covered by a mount, without the process that writes to it noticing: what it
// acknowledges from then on is gone when it ends. So what is open is compared
// with what is at the path, before each commit that accepts events and after it.

// openFile is a file of the database as it was when it was opened.
type openFile struct {
	path string
	info os.FileInfo // device and inode
}

// rememberFiles notes which files are open. SQLite keeps them open until Close,
// so their inodes are not given to other files meanwhile.
func (db *DB) rememberFiles() error {
	for _, path := range []string{filepath.Dir(db.path), db.path, db.path + "-wal", db.path + "-shm"} {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a layer of a test keeps it elsewhere
		}
		if err != nil {
			return err
		}
		db.files = append(db.files, openFile{path, info})
	}
	return nil
}

// Intact returns an error if what the store writes to is not what is at its
// paths. It comes back by itself only if the same files do.
func (db *DB) Intact() error {
	for _, f := range db.files {
		now, err := os.Stat(f.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = errors.New("it is gone")
		case err == nil && !os.SameFile(now, f.info):
			err = errors.New("it was replaced, or something is mounted over it")
		case err == nil:
			continue
		}
		return &replacedError{f.path, err}
	}
	retaken, err := db.lock.Keep()
	if retaken {
		db.log.Warn("the lock of the data directory had been removed or replaced; it was taken again", "code", telemetry.CodeFileRestored, "dir", filepath.Dir(db.path))
	}
	return err
}

// replacedError says that a file is not the one that is open.
type replacedError struct {
	path string
	err  error
}

func (e *replacedError) Error() string {
	return fmt.Sprintf("%s is not what this process has open: %v: put the same files back, or restart; events acknowledged before are only in the files that are open, so let the rest of them be delivered first", e.path, e.err)
}

func (e *replacedError) Unwrap() error { return e.err }

// intact answers the operations of a group that add events, if the store does
// not write to where it should, and returns the others, and whether there are
// such ones among them.
func (w *writer) intact(group []*op) (kept []*op, events bool) {
	for _, o := range group {
		events = events || o.purpose == forEvent
	}
	if !events {
		return group, false
	}
	err := w.db.Intact()
	if err == nil {
		return group, true
	}
	kept = group[:0]
	for _, o := range group {
		if o.purpose == forEvent {
			o.done <- err
		} else {
			kept = append(kept, o)
		}
	}
	return kept, false
}

// keepLog keeps SQLite from removing the log when it closes the last connection.
// It would do so by name, and the log at that path may belong to the database
// that has taken the place of this one.
func (w *writer) keepLog() {
	_ = w.conn.Raw(func(conn any) error {
		if c, ok := conn.(driver.FileControl); ok {
			_, err := c.FileControlPersistWAL("main", 1)
			return err
		}
		return nil
	})
}
