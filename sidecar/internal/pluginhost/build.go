//go:build unix

package pluginhost

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// build is what a process is made of: a program and its settings, checked and
// out of reach of whoever writes to the plugin directory.
type build struct {
	found
	digest   string // of the program, or of all the files of a manifest
	settings string // digest, empty if there are none
	rollback bool   // an operator has chosen it instead of the file
	note     string // why it is not what the file is, for the log
	held     string // digest of the file, whose copy is held; empty if there is none
}

func (b *build) record() buildRecord { return buildRecord{Digest: b.digest, Settings: b.settings} }

// makeBuild checks what is in the plugin directory and makes a build of it. If that
// is what failed when it was tried before, it returns what was good before
// instead, unless again is set.
func (h *Host) makeBuild(f found, again bool) (*build, error) {
	b := &build{found: f}
	if f.err != nil {
		return b, final(f.err)
	}
	if err := h.res.permit(f); err != nil {
		return b, final(err)
	}
	if err := h.readProgram(b); err != nil {
		return b, err
	}
	settings, err := h.readSettings(f)
	if err != nil {
		return b, final(err)
	}
	if len(settings) > 0 {
		sum := sha256.Sum256(settings)
		b.settings = hex.EncodeToString(sum[:])
	}
	b.sealed.settings = settings

	rec := h.registry.get(f.name)
	if f.kind != kindExec {
		return b, nil // its files have no copies to go back to
	}
	if rec.Rollback != nil {
		if rec.Rollback.From == b.digest {
			return b, h.rollTo(b, rec.Rollback.To)
		}
		// The file has changed: it is what people want now.
		if err := h.registry.update(f.name, func(r *pluginRecord) { r.Rollback = nil }); err != nil {
			h.cfg.Log.Warn("the end of a rollback is not remembered", "code", telemetry.CodePluginUnremembered, "plugin", f.name, "error", err)
		}
	}
	if rec.Failed != nil && rec.Failed.buildRecord == b.record() && !again {
		if good, ok := h.fallback(f, errors.New(rec.Failed.Reason)); ok {
			good.held = b.held
			return good, nil
		}
	}
	return b, nil
}

// fallback returns what was good before an update that failed, and still stands
// in for it, because of err.
func (h *Host) fallback(f found, err error) (*build, bool) {
	rec := h.registry.get(f.name)
	if f.kind != kindExec || rec.Failed == nil || rec.Good == nil || h.res.permit(f) != nil {
		return nil, false
	}
	good, problem := h.goodBuild(f, *rec.Good)
	if problem != nil {
		h.cfg.Log.Warn("what ran before the update that failed is not there any more", "code", telemetry.CodePluginUnremembered, "plugin", f.name, "error", problem)
		return nil, false
	}
	good.note = err.Error()
	return good, true
}

// readProgram checks the program and takes a copy of it, or of a manifest the
// digest.
func (h *Host) readProgram(b *build) error {
	b.sealed = new(sealed)
	files := []string{b.path}
	if b.manifest != nil {
		for _, path := range b.manifest.files() {
			if h.inDir(path) { // python3 is the system's affair
				files = append(files, path)
			}
		}
	}
	for _, path := range files {
		if err := h.checkFile(b.name, path); err != nil {
			return final(err)
		}
	}
	if b.kind == kindExec {
		var err error
		if b.digest, b.sealed.exec, err = h.copies.adopt(b.path, h.cfg.Trust.digest); err == nil {
			b.held = b.digest
		}
		return final(err)
	}
	// What runs is in the plugin directory, not a copy of it: a digest says what
	// it was, and the directory must see to it that it stays so.
	for _, path := range files {
		if real, err := filepath.EvalSymlinks(path); err == nil && h.cfg.Trust.byDigest() {
			if _, err := h.cfg.Trust.private(real); err != nil {
				return final(err)
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
			return final(fmt.Errorf("read the plugin: %w", err))
		}
		sum, err := hashFile(f, all)
		f.Close()
		if err == nil {
			err = h.cfg.Trust.digest(sum)
		}
		if err != nil {
			return final(fmt.Errorf("%s: %w", path, err))
		}
	}
	b.digest = hex.EncodeToString(all.Sum(nil))
	return nil
}

func (h *Host) inDir(path string) bool {
	rel, err := filepath.Rel(h.dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func (h *Host) checkFile(name, path string) error {
	warning, err := h.cfg.Trust.file(path, h.dir)
	if warning != nil {
		h.cfg.Log.Warn("plugin is not well protected; \"hookswitch run\" refuses it", "code", telemetry.CodePluginUnprotected, "plugin", name, "reason", warning)
	}
	return err
}

// readSettings reads the settings, which are as much a part of a plugin as its
// program.
func (h *Host) readSettings(f found) ([]byte, error) {
	f.sealed = nil
	settings, err := h.settings(f)
	if err != nil || len(settings) == 0 {
		return nil, err
	}
	path := h.configPath(f)
	if _, err := os.Lstat(path); err != nil {
		return settings, nil // they are in the manifest
	}
	if _, err := h.cfg.Trust.private(path); err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return bytes.Clone(settings), nil
}

// keepSettings keeps a copy of the settings of a build, so that it can be started
// again when the file has others that do not work. The copy is held until letGo
// is called.
func (h *Host) keepSettings(b *build) (letGo func(), err error) {
	if b.kind != kindExec || len(b.sealed.settings) == 0 {
		return func() {}, nil
	}
	digest, err := h.copies.keep("settings.json", b.sealed.settings)
	return func() { h.copies.letGo(digest) }, err
}

// rollTo makes a build of the program that an operator has gone back to.
func (h *Host) rollTo(b *build, digest string) error {
	path, err := h.copies.find(digest)
	if err != nil {
		return final(fmt.Errorf("roll back: %w", err))
	}
	if err := h.cfg.Trust.digest(digest); err != nil {
		return final(fmt.Errorf("roll back: %w", err))
	}
	b.digest, b.sealed.exec, b.rollback = digest, path, true
	return nil
}

// goodBuild returns what was last ready, program and settings.
func (h *Host) goodBuild(f found, r buildRecord) (*build, error) {
	b := &build{found: f, digest: r.Digest, settings: r.Settings}
	b.sealed = new(sealed)
	var err error
	if b.sealed.exec, err = h.copies.find(r.Digest); err != nil {
		return nil, err
	}
	if err := h.cfg.Trust.digest(r.Digest); err != nil {
		return nil, err
	}
	if r.Settings != "" {
		if b.sealed.settings, err = h.copies.read(r.Settings); err != nil {
			return nil, err
		}
	}
	return b, nil
}
