package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// choice is the last word of a number.
type choice struct {
	Out  bool      `json:"out"`
	At   time.Time `json:"at"`                   // when it was said
	Owed bool      `json:"reply_owed,omitempty"` // the reply has not gone out yet
}

// optOuts is the file with the list of choices. It is safe for concurrent use,
// also by several processes: when the plugin is replaced, the new one starts
// before the old one has ended. So the file is the truth, and is read again for
// every change, under a lock.
type optOuts struct {
	path string
}

// openOptOuts checks that the list can be read; there may be none yet.
func openOptOuts(path string) (*optOuts, error) {
	l := &optOuts{path: path}
	_, err := l.read()
	return l, err
}

// set records what a number said at some time, and returns whether it is owed a
// reply. It is not if this is a repetition whose reply has gone out, or if
// something later is known.
func (l *optOuts) set(number string, out bool, at time.Time) (owed bool, err error) {
	err = l.change(func(choices map[string]choice) bool {
		before, known := choices[number]
		if known && !at.After(before.At) {
			owed = before.Owed && before.Out == out && before.At.Equal(at)
			return false
		}
		owed = true
		choices[number] = choice{out, at, true}
		return true
	})
	return owed && err == nil, err
}

// replied notes that the reply to what the number said at that time has gone out.
func (l *optOuts) replied(number string, at time.Time) error {
	return l.change(func(choices map[string]choice) bool {
		c, known := choices[number]
		if !known || !c.Owed || !c.At.Equal(at) {
			return false // something later was said meanwhile
		}
		c.Owed = false
		choices[number] = c
		return true
	})
}

// change reads the list, and writes it if edit has changed it, while nobody else
// does. The lock is a file of its own, since the list is replaced by every
// write. The kernel gives it up when the process dies.
func (l *optOuts) change(edit func(choices map[string]choice) (changed bool)) error {
	lock, err := os.OpenFile(l.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the list of opt-outs: %w", err)
	}
	defer lock.Close()
	if err := wait(lock); err != nil {
		return fmt.Errorf("lock the list of opt-outs: %w", err)
	}
	choices, err := l.read()
	if err != nil || !edit(choices) {
		return err
	}
	if err := l.write(choices); err != nil {
		return fmt.Errorf("write the list of opt-outs: %w", err)
	}
	return nil
}

func (l *optOuts) read() (map[string]choice, error) {
	choices := make(map[string]choice)
	data, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return choices, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &choices)
	}
	if err == nil && choices == nil {
		err = errors.New("it is null")
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of opt-outs %s: %w: fix it, or move it away to start a new one", l.path, err)
	}
	return choices, nil
}

// write replaces the file with a new one, so that a crash leaves one or the
// other.
func (l *optOuts) write(choices map[string]choice) error {
	data, err := json.Marshal(choices)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), l.path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(l.path)) // the name is on disk when its directory is
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
