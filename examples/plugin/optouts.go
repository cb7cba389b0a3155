package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// choice is what a number has said last.
type choice struct {
	Out bool      `json:"out"`
	At  time.Time `json:"at"` // when it was said
}

// optOuts is the list of choices, and the file it is in. It is safe for
// concurrent use by one process, which the sidecar sees to.
type optOuts struct {
	path string

	mu      sync.Mutex
	choices map[string]choice // guarded by mu: by number
}

// openOptOuts reads the list, which is empty if there is none.
func openOptOuts(path string) (*optOuts, error) {
	l := &optOuts{path: path, choices: make(map[string]choice)}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &l.choices)
	} else if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of opt-outs %s: %w: mend it, or move it away to begin a new one", path, err)
	}
	return l, nil
}

// set notes what a number said at some time, and returns whether that was news:
// a repetition is not, and neither is what was said before the latest.
func (l *optOuts) set(number string, out bool, at time.Time) (news bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.choices[number]
	if known && !at.After(before.At) {
		return false, nil
	}
	l.choices[number] = choice{out, at}
	if err := l.save(); err != nil {
		if delete(l.choices, number); known {
			l.choices[number] = before
		}
		return false, fmt.Errorf("write the list of opt-outs: %w", err)
	}
	return true, nil
}

// save puts a new file in the place of the old one, so that a crash leaves one
// or the other. The caller holds the lock.
func (l *optOuts) save() error {
	data, err := json.Marshal(l.choices)
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
