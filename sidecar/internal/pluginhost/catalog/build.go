package catalog

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Build is what a process is made of: a program and its settings, checked and
// out of reach of whoever writes to the plugin directory.
type Build struct {
	Entry
	Digest         string // of the program, or of all the files of a manifest
	Settings       []byte
	SettingsDigest string // empty if there are none
	Rollback       bool   // an operator has chosen it instead of the file
	StandIn        bool   // it stands in for an update that failed
	Held           string // digest of the file, whose copy is held until Release; empty if there is none

	private string // path of the copy of an executable; empty for other kinds
}

// Program returns the path of what is executed.
func (b *Build) Program() string { return cmp.Or(b.private, b.Path) }

// Same reports whether two builds are of the same bytes.
func (b *Build) Same(other *Build) bool { return b.record() == other.record() }

func (b *Build) record() buildRecord {
	return buildRecord{Digest: b.Digest, Settings: b.SettingsDigest}
}

// Build checks what is in the plugin directory and makes a build of it. If that
// is what failed when it was tried before, it returns what was good before
// instead, unless again is set. With an error it returns as much of a build as
// is known.
func (c *Catalog) Build(e Entry, again bool) (*Build, error) {
	b := &Build{Entry: e}
	if e.Err != nil {
		return b, Final(e.Err)
	}
	if err := c.readProgram(b); err != nil {
		return b, err
	}
	if err := c.readSettings(b); err != nil {
		return b, Final(err)
	}
	if e.Kind != KindExec {
		return b, nil // its files have no copies to go back to
	}
	rec := c.state.get(e.Name)
	if rec.Rollback != nil {
		if rec.Rollback.From == b.Digest {
			return b, c.rollTo(b, rec.Rollback.To)
		}
		// The file has changed: it is what people want now.
		if err := c.EndRollback(e.Name); err != nil {
			c.Log.Warn("the end of a rollback is not remembered", "code", telemetry.CodePluginUnremembered, "plugin", e.Name, "error", err)
		}
	}
	if rec.Failed != nil && rec.Failed.buildRecord == b.record() && !again {
		if good, ok := c.Fallback(e); ok {
			good.Held = b.Held
			return good, nil
		}
	}
	return b, nil
}

// Fallback returns what was good before an update that failed, and still stands
// in for it.
func (c *Catalog) Fallback(e Entry) (*Build, bool) {
	rec := c.state.get(e.Name)
	if e.Kind != KindExec || rec.Failed == nil || rec.Good == nil {
		return nil, false
	}
	good, problem := c.goodBuild(e, *rec.Good)
	if problem != nil {
		c.Log.Warn("what ran before the update that failed is not there any more", "code", telemetry.CodePluginUnremembered, "plugin", e.Name, "error", problem)
		return nil, false
	}
	good.StandIn = true
	return good, true
}

// readProgram checks the program and takes a copy of it, or of a manifest the
// digest.
func (c *Catalog) readProgram(b *Build) error {
	files := []string{b.Path}
	if b.Manifest != nil {
		for _, path := range b.Manifest.files() {
			if c.inDir(path) { // python3 is the system's affair
				files = append(files, path)
			}
		}
	}
	for _, path := range files {
		if err := c.checkFile(b.Name, path); err != nil {
			return Final(err)
		}
	}
	if b.Kind == KindExec {
		var err error
		if b.Digest, b.private, err = c.copies.adopt(b.Path, c.Trust.digest); err == nil {
			b.Held = b.Digest
		}
		return Final(err)
	}
	// What runs is in the plugin directory, not a copy of it: a digest says what
	// it was, and the directory must see to it that it stays so.
	for _, path := range files {
		if real, err := filepath.EvalSymlinks(path); err == nil && c.Trust.byDigest() {
			if _, err := c.Trust.private(real); err != nil {
				return Final(err)
			}
		}
	}
	all := sha256.New()
	for i, path := range files {
		f, err := os.Open(path)
		if i > 0 && errors.Is(err, fs.ErrNotExist) {
			continue // an argument that only looks like a file
		}
		if err != nil {
			return Final(fmt.Errorf("read the plugin: %w", err))
		}
		sum, err := hashFile(f, all)
		f.Close()
		if err == nil {
			err = c.Trust.digest(sum)
		}
		if err != nil {
			return Final(fmt.Errorf("%s: %w", path, err))
		}
	}
	b.Digest = hex.EncodeToString(all.Sum(nil))
	return nil
}

func (c *Catalog) inDir(path string) bool {
	rel, err := filepath.Rel(c.Dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func (c *Catalog) checkFile(name, path string) error {
	warning, err := c.Trust.file(path, c.Dir)
	if warning != nil {
		c.Log.Warn("plugin is not well protected; \"hookswitch run\" refuses it", "code", telemetry.CodePluginUnprotected, "plugin", name, "reason", warning)
	}
	return err
}

// readSettings reads the settings, which are as much a part of a plugin as its
// program.
func (c *Catalog) readSettings(b *Build) error {
	settings, err := b.ReadSettings()
	if err != nil || len(settings) == 0 {
		return err
	}
	path := b.SettingsPath()
	if _, err := os.Lstat(path); err == nil { // else they are in the manifest
		if _, err := c.Trust.private(path); err != nil {
			return fmt.Errorf("read the settings: %w", err)
		}
	}
	sum := sha256.Sum256(settings)
	b.Settings, b.SettingsDigest = settings, hex.EncodeToString(sum[:])
	return nil
}

// keepSettings keeps a copy of the settings of a build, so that it can be started
// again when the file has others that do not work. The copy is held until letGo
// is called.
func (c *Catalog) keepSettings(b *Build) (letGo func(), err error) {
	if b.Kind != KindExec || len(b.Settings) == 0 {
		return func() {}, nil
	}
	digest, err := c.copies.keep("settings.json", b.Settings)
	return func() { c.copies.letGo(digest) }, err
}

// rollTo makes a build of the program that an operator has gone back to.
func (c *Catalog) rollTo(b *Build, digest string) error {
	path, err := c.copies.find(digest)
	if err != nil {
		return Final(fmt.Errorf("roll back: %w", err))
	}
	if err := c.Trust.digest(digest); err != nil {
		return Final(fmt.Errorf("roll back: %w", err))
	}
	b.Digest, b.private, b.Rollback = digest, path, true
	return nil
}

// goodBuild returns what was last ready, program and settings.
func (c *Catalog) goodBuild(e Entry, r buildRecord) (*Build, error) {
	b := &Build{Entry: e, Digest: r.Digest, SettingsDigest: r.Settings}
	var err error
	if b.private, err = c.copies.find(r.Digest); err != nil {
		return nil, err
	}
	if err := c.Trust.digest(r.Digest); err != nil {
		return nil, err
	}
	if r.Settings != "" {
		if b.Settings, err = c.copies.read(r.Settings); err != nil {
			return nil, err
		}
	}
	return b, nil
}
