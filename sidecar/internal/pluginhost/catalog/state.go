package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/internal/durable"
)

const (
	stateFile    = "plugins.json"
	versionsKept = 3 // programs of each plugin
)

// state is the data that outlives the host: the operators' choices, the programs that ran,
// and the update that did not start. It is safe for concurrent use.
type state struct {
	path string

	mu   sync.Mutex
	data map[string]*record // by name
}

type record struct {
	Disabled bool `json:"disabled,omitempty"`

	// File is the name of the file that was last ready.
	File string `json:"file,omitempty"`

	// Versions are the programs that have been ready, oldest first.
	Versions []versionRecord `json:"versions,omitempty"`

	// Good is the program that was last ready.
	Good *buildRecord `json:"good,omitempty"`

	// Failed is an update that did not start while Good was there.
	Failed *failedRecord `json:"failed,omitempty"`

	// Rollback applies until the file changes.
	Rollback *rollbackRecord `json:"rollback,omitempty"`
}

type versionRecord struct {
	Digest  string    `json:"digest"`
	Version string    `json:"version"`
	At      time.Time `json:"at"`
}

// buildRecord names a program and settings by their digests.
type buildRecord struct {
	Digest   string `json:"digest"`
	Settings string `json:"settings,omitempty"`
}

type failedRecord struct {
	buildRecord
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

type rollbackRecord struct {
	To   string `json:"to"`
	From string `json:"from"` // digest of the file
}

// openState reads the records in a directory, if there are any.
func openState(dir string) (*state, error) {
	s := &state{path: filepath.Join(dir, stateFile), data: make(map[string]*record)}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s.data)
	}
	if err != nil {
		return nil, fmt.Errorf("read the saved state of plugins: %w: fix or remove %s", err, s.path)
	}
	for name, p := range s.data {
		if p == nil {
			delete(s.data, name)
		}
	}
	return s, nil
}

// get returns a copy of the record of a plugin.
func (s *state) get(name string) record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.data[name]; p != nil {
		c := *p
		c.Versions = slices.Clone(p.Versions) // the pointers' targets are replaced, never changed
		return c
	}
	return record{}
}

// update changes the record of a plugin and writes the file. If that fails, the
// change lasts until the process ends.
func (s *state) update(name string, change func(*record)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.data[name]
	if p == nil {
		p = new(record)
		s.data[name] = p
	}
	change(p)
	return s.write()
}

// forget removes the record of a plugin.
func (s *state) forget(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.data, name)
	return s.write()
}

// needed returns the digests of all copies that records refer to.
func (s *state) needed() (digests []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.data {
		for _, v := range p.Versions {
			digests = append(digests, v.Digest)
		}
		if p.Good != nil {
			digests = append(digests, p.Good.Digest, p.Good.Settings)
		}
		if p.Rollback != nil {
			digests = append(digests, p.Rollback.To)
		}
	}
	return digests
}

// write replaces the file. The caller holds the lock.
func (s *state) write() error {
	text, err := json.MarshalIndent(s.data, "", " ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.path, append(text, '\n')); err != nil {
		return fmt.Errorf("save the state of plugins: %w", err)
	}
	return nil
}

// ran records that a program was ready. After a rollback the programs stay in the
// order in which they came.
func (p *record) ran(b buildRecord, version string, at time.Time) {
	p.Good, p.Failed = &b, nil
	i := slices.IndexFunc(p.Versions, func(v versionRecord) bool { return v.Digest == b.Digest })
	if i >= 0 && (p.Rollback != nil || i == len(p.Versions)-1) {
		return
	}
	if i >= 0 {
		p.Versions = slices.Delete(p.Versions, i, i+1)
	}
	p.Versions = append(p.Versions, versionRecord{Digest: b.Digest, Version: version, At: at})
	p.Versions = p.Versions[max(0, len(p.Versions)-versionsKept):]
}

// before returns the program that came before another one.
func (p *record) before(digest string) (versionRecord, bool) {
	i := slices.IndexFunc(p.Versions, func(v versionRecord) bool { return v.Digest == digest })
	if i < 0 {
		i = len(p.Versions)
	}
	if i == 0 {
		return versionRecord{}, false
	}
	return p.Versions[i-1], true
}
