// Package catalog finds the plugins in a directory and decides which of them may
// run, and which copy of each one runs.
//
// [New] makes a [Catalog]. [Catalog.Scan] lists the directory, and
// [Catalog.Build] turns an [Entry] of the list into a [Build]: the exact bytes
// that a process is started from. They have been checked, and writing to the
// directory can no longer change them. The catalog also keeps the programs that
// ran before and the operators' choices in a state directory, so that a bad
// update can be undone.
//
// The package starts no processes. [Inspect] examines a program without running
// it, and [Spawn.Explain] explains why the system refused to run one.
package catalog

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// Catalog is the plugins of one directory: which ones there are, which may run, and
// which copy of each runs. It is safe for concurrent use.
type Catalog struct {
	Dir   string // the plugin directory, absolute; empty means no plugins
	Trust Trust  // the rule for programs that may run
	Log   *slog.Logger

	copies copies
	state  *state // empty until Open
}

// New returns the catalog of a plugin directory, without reading it. stateDir
// holds private copies and the saved state of the plugins, and belongs to one
// host. If it is empty, Open fails.
func New(dir, stateDir string, trust Trust, log *slog.Logger) (*Catalog, error) {
	if err := trust.check(); err != nil {
		return nil, err
	}
	c := &Catalog{Trust: trust, Log: log, state: new(state)}
	var err error
	if dir != "" {
		if c.Dir, err = filepath.Abs(dir); err != nil {
			return nil, fmt.Errorf("find the plugin directory: %w", err)
		}
	}
	if stateDir != "" { // plugins are started from copies in it, and work elsewhere
		if stateDir, err = filepath.Abs(stateDir); err != nil {
			return nil, fmt.Errorf("find the directory for private copies: %w", err)
		}
	}
	c.copies = copies{dir: stateDir, held: &held{uses: make(map[string]int)}}
	return c, nil
}

// Open reads the saved state of the plugins.
func (c *Catalog) Open() (err error) {
	if c.copies.dir == "" {
		return errors.New("no directory for private copies of plugins: set StateDir")
	}
	c.state, err = openState(c.copies.dir)
	return err
}

// Share makes private copies readable for other users, for plugins that run as
// another user.
func (c *Catalog) Share() { c.copies.shared = true }

// Prepare creates the directory of private copies.
func (c *Catalog) Prepare() error { return c.copies.prepare() }

// Scan lists the plugin directory. prefer maps names of plugins to paths: of two
// files for one plugin, the one in prefer wins.
func (c *Catalog) Scan(prefer map[string]string) (Listing, error) { return scan(c.Dir, prefer, c.Log) }

// LastFiles returns the path of the file that was last ready for each plugin.
func (c *Catalog) LastFiles() map[string]string {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	paths := make(map[string]string)
	for name, p := range c.state.data {
		if p.File != "" {
			paths[name] = filepath.Join(c.Dir, p.File)
		}
	}
	return paths
}

// Disabled reports whether an operator has disabled a plugin.
func (c *Catalog) Disabled(name string) bool { return c.state.get(name).Disabled }

// Disable records whether an operator has disabled a plugin.
func (c *Catalog) Disable(name string, disabled bool) error {
	return c.state.update(name, func(r *record) { r.Disabled = disabled })
}

// HasRun reports whether a plugin has been ready before.
func (c *Catalog) HasRun(name string) bool { return len(c.state.get(name).Versions) > 0 }

// Forget removes the saved state of a plugin.
func (c *Catalog) Forget(name string) error {
	return errors.Join(c.state.forget(name), c.Sweep())
}

// Ready records that a build is ready, and sweeps. version is the version that the
// plugin reports.
func (c *Catalog) Ready(b *Build, version string) error {
	letGo, err := c.keepSettings(b)
	defer letGo()
	return errors.Join(err, c.state.update(b.Name, func(r *record) {
		r.ran(b.record(), version, time.Now())
		r.File = filepath.Base(b.Path)
	}), c.Sweep())
}

// Renamed records that the running plugin is now in another file.
func (c *Catalog) Renamed(b *Build) error {
	name := filepath.Base(b.Path)
	if c.state.get(b.Name).File == name {
		return nil
	}
	return c.state.update(b.Name, func(r *record) { r.File = name })
}

// Failure is an update that did not become ready.
type Failure struct {
	Digest string // of the program
	Reason string
	At     time.Time
}

// Failed records that an update of a plugin did not become ready, so that Build
// keeps returning the previous one. b is nil if there was no build.
func (c *Catalog) Failed(name string, b *Build, f Failure) error {
	return c.state.update(name, func(r *record) {
		if r.Rollback != nil && b != nil && b.Rollback {
			r.Rollback = nil // the older program does not start either
			return
		}
		r.Failed = &failedRecord{Reason: f.Reason, At: f.At}
		if b != nil {
			r.Failed.buildRecord = b.record()
		}
	})
}

// Failure returns the update of a plugin that did not become ready.
func (c *Catalog) Failure(name string) (Failure, bool) {
	if f := c.state.get(name).Failed; f != nil {
		return Failure{Digest: f.Digest, Reason: f.Reason, At: f.At}, true
	}
	return Failure{}, false
}

// errNoVersion is returned by RollBack when there is nothing to go back to.
var errNoVersion = errors.New("there is no older program to go back to")

// RollBack makes Build return the program that ran before the running one, whose
// digest is given, until the file changes.
func (c *Catalog) RollBack(e Entry, running string) error {
	if e.Kind != KindExec {
		return fmt.Errorf("%w: copies are kept of executables only: put the files back", errNoVersion)
	}
	rec := c.state.get(e.Name)
	to, ok := rec.before(running)
	if !ok {
		return errNoVersion
	}
	file, _, err := c.copies.adopt(e.Path, func(string) error { return nil })
	if err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	defer c.copies.letGo(file)
	return c.state.update(e.Name, func(r *record) {
		r.Rollback, r.Failed = &rollbackRecord{To: to.Digest, From: file}, nil
	})
}

// EndRollback makes Build return the file in the directory again.
func (c *Catalog) EndRollback(name string) error {
	return c.state.update(name, func(r *record) { r.Rollback = nil })
}

// Release releases the copy that a build holds. held may be empty.
func (c *Catalog) Release(held string) { c.copies.letGo(held) }

// Sweep removes private copies that nothing refers to.
func (c *Catalog) Sweep() error { return c.copies.sweep(c.state.needed) }
