package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

const (
	activeName  = "events.jsonl"
	rotatedName = "events-20060102T150405.000000000Z.jsonl" // a layout of package time
)

// batchMax is the most lines that share a sync.
const batchMax = 256

var errClosed = errors.New("archive: closed")

// archive appends lines to the active file of a directory. Lines that arrive
// while another is being synced share the next sync. It is safe for concurrent
// use.
type archive struct {
	dir     string
	maxSize int64
	open    func(path string) (logFile, int64, error) // openLog, or a test's faulty one

	queue chan line
	done  chan struct{} // closed when the writer has ended

	closeMu sync.RWMutex // held for reading while sending to queue
	closed  bool

	// The writer's own.
	file    logFile // nil: to be opened
	size    int64
	suspect bool // a sync of the active file failed; nothing more goes into it
	closing error
}

// logFile has the methods of a file that the archive needs.
type logFile interface {
	io.WriteCloser
	Sync() error
}

type line struct {
	text   []byte
	synced chan<- error // has room for one
}

// openArchive makes the directory and opens its active file, so that a plugin
// that cannot write says so at once.
func openArchive(dir string, maxSize int64) (*archive, error) {
	a := &archive{dir: dir, maxSize: maxSize, open: openLog}
	if err := a.start(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *archive) start() error {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return fmt.Errorf("archive: make the directory: %w", err)
	}
	if err := a.ready(0); err != nil {
		return err
	}
	a.queue = make(chan line, batchMax)
	a.done = make(chan struct{})
	go a.write()
	return nil
}

// handle archives an event.
func (a *archive) handle(ctx context.Context, e *webhook.Event) error {
	text, err := encode(e)
	if err != nil {
		return webhook.Permanent(err)
	}
	return a.append(ctx, text)
}

// append appends a line, and returns when it is on disk. After an error it may
// be there or not.
func (a *archive) append(ctx context.Context, text []byte) error {
	synced := make(chan error, 1)
	if err := a.enqueue(ctx, line{text, synced}); err != nil {
		return err
	}
	select {
	case err := <-synced:
		return err
	case <-ctx.Done():
		return fmt.Errorf("archive: wait for the disk: %w", ctx.Err())
	}
}

func (a *archive) enqueue(ctx context.Context, l line) error {
	a.closeMu.RLock()
	defer a.closeMu.RUnlock()
	if a.closed {
		return errClosed
	}
	select {
	case a.queue <- l:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("archive: wait for the disk: %w", ctx.Err())
	}
}

// close writes what is queued and closes the file.
func (a *archive) close() error {
	a.closeMu.Lock()
	if !a.closed {
		a.closed = true
		close(a.queue)
	}
	a.closeMu.Unlock()
	<-a.done
	return a.closing
}

// write is the goroutine that owns the file.
func (a *archive) write() {
	defer close(a.done)
	for first := range a.queue {
		batch := []line{first}
		for len(batch) < batchMax && len(a.queue) > 0 {
			batch = append(batch, <-a.queue)
		}
		err := a.commit(batch)
		for _, l := range batch {
			l.synced <- err
		}
	}
	if a.file != nil {
		a.closing = a.file.Close()
	}
}

// commit appends a batch. The order of effects:
//
//  1. A full file, or one whose last sync failed, is renamed; a new one is
//     made, and the directory synced.
//  2. The lines are appended in one write.
//  3. The file is synced. From here on the lines survive a crash.
//  4. The events are acknowledged, by the caller.
//
// A crash before 3 leaves some of the lines, the last perhaps cut; none of them
// was acknowledged. The next start ends a cut line.
func (a *archive) commit(batch []line) error {
	var text []byte
	for _, l := range batch {
		text = append(text, l.text...)
	}
	if err := a.ready(int64(len(text))); err != nil {
		return err
	}
	n, err := a.file.Write(text)
	a.size += int64(n)
	if err != nil {
		a.file.Close()
		a.file = nil // opened again, which ends a line that was cut
		return fmt.Errorf("archive: append: %w", err)
	}
	if err := a.file.Sync(); err != nil {
		// The kernel may have dropped what it could not write, and will not
		// say so again: no later sync of this file means anything.
		a.file.Close()
		a.file, a.suspect = nil, true
		return fmt.Errorf("archive: sync: %w", err)
	}
	return nil
}

// ready makes sure that there is a file with room for n bytes. A file that is
// empty has room for anything.
func (a *archive) ready(n int64) error {
	active := filepath.Join(a.dir, activeName)
	if a.file != nil && a.size > 0 && a.size+n > a.maxSize {
		err := a.file.Close()
		a.file = nil
		if err != nil {
			return fmt.Errorf("archive: close a full file: %w", err)
		}
		if err := a.setAside(active); err != nil {
			return err
		}
	}
	if a.file != nil {
		return nil
	}
	if a.suspect {
		if err := a.setAside(active); err != nil {
			return err
		}
		a.suspect = false
	}
	file, size, err := a.open(active)
	if err != nil {
		return fmt.Errorf("archive: open: %w", err)
	}
	if err := syncDir(a.dir); err != nil {
		file.Close()
		return fmt.Errorf("archive: sync the directory: %w", err)
	}
	a.file, a.size = file, size
	if size > 0 && size+n > a.maxSize && n > 0 {
		return a.ready(n) // the file of an earlier run is full
	}
	return nil
}

// setAside renames the active file after the time.
func (a *archive) setAside(active string) error {
	rotated := func() string { return filepath.Join(a.dir, time.Now().UTC().Format(rotatedName)) }
	path := rotated()
	for exists(path) { // made in the same tick of the clock
		path = rotated()
	}
	err := os.Rename(active, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // somebody may have moved it away
		return fmt.Errorf("archive: rotate: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// openLog opens a file for appending and returns its size. If its last line was
// cut, by a crash or a full disk, it ends the line.
func openLog(path string) (logFile, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	size, err := endLine(f)
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

func endLine(f *os.File) (size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size = info.Size()
	if size == 0 {
		return 0, nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	if _, err := f.Write([]byte{'\n'}); err != nil {
		return 0, err
	}
	return size + 1, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
