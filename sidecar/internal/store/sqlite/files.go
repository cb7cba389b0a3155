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

// An open file can be removed or replaced, and a directory moved or covered by a
// mount, without the writing process noticing: events acknowledged from then on are
// gone when it ends. So the open files are compared with those at their paths,
// before and after each commit that accepts events.

// openFile is a file of the database as it was opened.
type openFile struct {
	path string
	info os.FileInfo // device and inode
}

// rememberFiles records the open files. SQLite keeps them open until Close, so
// their inodes are not reused meanwhile.
func (db *DB) rememberFiles() error {
	for _, path := range []string{filepath.Dir(db.path), db.path, db.path + "-wal", db.path + "-shm"} {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a test's layer keeps it elsewhere
		}
		if err != nil {
			return err
		}
		db.files = append(db.files, openFile{path, info})
	}
	return nil
}

// Intact returns an error if the files that the store writes are not those at its
// paths. It only recovers by itself if the same files come back.
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

// replacedError means that a file is not the open one.
type replacedError struct {
	path string
	err  error
}

func (e *replacedError) Error() string {
	return fmt.Sprintf("%s is not the file this process has open: %v: put the same files back, or restart; events acknowledged before are only in the open files, so let the rest of them be delivered first", e.path, e.err)
}

func (e *replacedError) Unwrap() error { return e.err }

// intact fails the operations of a group that add events if the store's files have
// been replaced. It returns the others, and whether any of them add events.
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
			o.Answer(err)
		} else {
			kept = append(kept, o)
		}
	}
	return kept, false
}

// keepLog keeps SQLite from removing the log when it closes the last connection. It
// would do so by name, and the log at that path may belong to the database that
// replaced this one.
func (w *writer) keepLog() {
	_ = w.conn.Raw(func(conn any) error {
		if c, ok := conn.(driver.FileControl); ok {
			_, err := c.FileControlPersistWAL("main", 1)
			return err
		}
		return nil
	})
}
