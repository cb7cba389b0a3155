// Package catalog knows the plugins of a directory: what is there, whether it may
// run, and which copy of each runs.
//
// [New] makes a [Catalog]; [Catalog.Scan] lists the directory, and
// [Catalog.Build] turns one [Entry] of the list into a [Build], the bytes that a
// process is made from. They were checked, and nobody who writes to the
// directory can change them any more. What ran before, and what operators have
// chosen, is remembered in a state directory, so that there is something to go
// back to.
//
// It starts nothing: a program that the system has refused to run it explains
// ([Spawn.Explain]), and [Inspect] looks at one without running it.
package catalog

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// Catalog knows the plugins of a directory: which there are, which may run, and
// which copy of each runs. It starts none. It is safe for concurrent use.
type Catalog struct {
	Dir   string // the plugin directory, absolute; empty: there are no plugins
	Trust Trust  // says which programs may run
	Log   *slog.Logger

	copies copies
	state  *state // empty until Open
}

// New returns the catalog of a plugin directory. It reads nothing.
// stateDir is where private copies are kept, and what is remembered of plugins;
// it belongs to one host. Empty: there is no such directory, and Open fails.
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
	c.copies = newCopies(stateDir)
	return c, nil
}

// Open reads what is remembered of plugins.
func (c *Catalog) Open() (err error) {
	if c.copies.dir == "" {
		return errors.New("no directory for private copies of plugins: set StateDir")
	}
	c.state, err = openState(c.copies.dir)
	return err
}

// Share makes private copies readable for other users, as those are whose
// processes plugins are.
func (c *Catalog) Share() { c.copies.shared = true }

// Prepare makes the directory of private copies.
func (c *Catalog) Prepare() error { return c.copies.prepare() }

// Scan lists what is in the plugin directory. Of two files for one plugin the
// one in prefer, by the plugin's name, is it.
func (c *Catalog) Scan(prefer map[string]string) (Listing, error) { return scan(c.Dir, prefer, c.Log) }

// LastFiles returns the files of plugins that were last ready, by the names of
// the plugins.
func (c *Catalog) LastFiles() map[string]string { return c.state.files(c.Dir) }

// Disabled reports whether an operator does not want a plugin to run.
func (c *Catalog) Disabled(name string) bool { return c.state.get(name).Disabled }

// Disable remembers whether an operator does not want a plugin to run.
func (c *Catalog) Disable(name string, disabled bool) error {
	return c.state.update(name, func(r *record) { r.Disabled = disabled })
}

// HasRun reports whether a plugin has been ready before.
func (c *Catalog) HasRun(name string) bool { return len(c.state.get(name).Versions) > 0 }

// Forget removes all that is remembered of a plugin.
func (c *Catalog) Forget(name string) error {
	return errors.Join(c.state.forget(name), c.Sweep())
}

// Ready remembers a build that is ready, and sweeps. version is what the plugin
// calls itself.
func (c *Catalog) Ready(b *Build, version string) error {
	letGo, err := c.keepSettings(b)
	defer letGo()
	return errors.Join(err, c.state.update(b.Name, func(r *record) {
		r.ran(b.record(), version, time.Now())
		r.File = filepath.Base(b.Path)
	}), c.Sweep())
}

// Renamed remembers that what runs is in another file now.
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

// Failed remembers that an update of a plugin did not become ready, so that Build
// keeps to what was there before. b is nil if there was no build.
func (c *Catalog) Failed(name string, b *Build, f Failure) error {
	return c.state.update(name, func(r *record) {
		if r.Rollback != nil && b != nil && b.Rollback {
			r.Rollback = nil // there is no way back
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

// ErrNoVersion is returned by RollBack when there is nothing to go back to.
var ErrNoVersion = errors.New("there is no older program to go back to")

// RollBack makes Build return the program that ran before another one, until
// the file changes. running is the digest of that other one.
func (c *Catalog) RollBack(e Entry, running string) error {
	if e.Kind != KindExec {
		return fmt.Errorf("%w: only of executables copies are kept: put the files back", ErrNoVersion)
	}
	rec := c.state.get(e.Name)
	to, ok := rec.before(running)
	if !ok {
		return ErrNoVersion
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

// EndRollback makes Build return the file of a plugin again.
func (c *Catalog) EndRollback(name string) error {
	return c.state.update(name, func(r *record) { r.Rollback = nil })
}

// Release lets go of the copy of a file that a build holds. It may be one of
// nothing.
func (c *Catalog) Release(held string) { c.copies.letGo(held) }

// Sweep removes the private copies that nobody needs.
func (c *Catalog) Sweep() error { return c.copies.sweep(c.state.needed) }
