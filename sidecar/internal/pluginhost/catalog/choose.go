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

// Build is the source of a process: a program and its settings, checked, and
// out of reach of anybody who can write to the plugin directory.
type Build struct {
	Entry
	Digest         string // of the program, or of all files of a manifest
	Settings       []byte
	SettingsDigest string // empty if there are none
	Rollback       bool   // an operator chose it over the file
	StandIn        bool   // it replaces an update that failed
	Held           string // digest of the file whose copy is held until Release; empty if none is

	private string // path of an executable's copy; empty for other kinds
}

// Program returns the path of the file to execute.
func (b *Build) Program() string { return cmp.Or(b.private, b.Path) }

// Same reports whether two builds are the same bytes.
func (b *Build) Same(other *Build) bool { return b.record() == other.record() }

func (b *Build) record() buildRecord {
	return buildRecord{Digest: b.Digest, Settings: b.SettingsDigest}
}

// Build checks a plugin's files and makes a build of them. If they are the update
// that failed before, it returns the last good build instead, unless again is
// set. With an error it returns as much of the build as is known.
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
		return b, nil // there are no copies of its files to go back to
	}
	rec := c.state.get(e.Name)
	if rec.Rollback != nil {
		if rec.Rollback.From == b.Digest {
			return b, c.rollTo(b, rec.Rollback.To)
		}
		// The file has changed: it is what the operator wants now.
		if err := c.EndRollback(e.Name); err != nil {
			c.Log.Warn("the end of a rollback could not be saved", "code", telemetry.CodePluginUnremembered, "plugin", e.Name, "error", err)
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

// Fallback returns the last good build of a plugin whose update failed.
func (c *Catalog) Fallback(e Entry) (*Build, bool) {
	rec := c.state.get(e.Name)
	if e.Kind != KindExec || rec.Failed == nil || rec.Good == nil {
		return nil, false
	}
	good, problem := c.goodBuild(e, *rec.Good)
	if problem != nil {
		c.Log.Warn("the program that ran before the failed update is gone", "code", telemetry.CodePluginUnremembered, "plugin", e.Name, "error", problem)
		return nil, false
	}
	good.StandIn = true
	return good, true
}

// readProgram checks the program and copies it. For a manifest it only computes the
// digest.
func (c *Catalog) readProgram(b *Build) error {
	files := []string{b.Path}
	if b.Manifest != nil {
		for _, path := range b.Manifest.files() {
			if rel, err := filepath.Rel(c.Dir, path); err == nil && filepath.IsLocal(rel) { // python3 is the system's business
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
	// A manifest's files run from the plugin directory, not from a copy. The digest
	// says what they were; only the directory's modes keep them that way.
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
			continue // an argument that merely looks like a file
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

func (c *Catalog) checkFile(name, path string) error {
	warning, err := c.Trust.file(path, c.Dir)
	if warning != nil {
		c.Log.Warn("plugin is not well protected; \"hookswitch run\" refuses it", "code", telemetry.CodePluginUnprotected, "plugin", name, "reason", warning)
	}
	return err
}

// readSettings reads the settings, which need the same protection as the program.
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

// keepSettings keeps a copy of a build's settings, so that it can be started again
// after the file has been changed to settings that do not work. The copy is held
// until letGo is called.
func (c *Catalog) keepSettings(b *Build) (letGo func(), err error) {
	if b.Kind != KindExec || len(b.Settings) == 0 {
		return func() {}, nil
	}
	digest, err := c.copies.keep("settings.json", b.Settings)
	return func() { c.copies.letGo(digest) }, err
}

// rollTo makes b the program that an operator rolled back to.
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

// goodBuild returns the program and settings that were last ready.
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
