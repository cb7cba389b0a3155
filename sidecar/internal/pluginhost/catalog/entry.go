package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Kind is how a plugin is hosted. The contract is the same for all of them.
type Kind string

// The kinds of plugins.
const (
	KindExec   Kind = "exec"   // an executable that speaks gRPC, found by its mode
	KindJSONL  Kind = "jsonl"  // a command that reads and writes JSON lines
	KindRemote Kind = "remote" // a server that runs elsewhere
)

// KindOf says what a file is. Of a manifest with a mistake it is not known, but
// it does not start either.
func KindOf(path string) Kind {
	if strings.HasSuffix(path, ManifestSuffix) {
		if m, err := ReadManifest(path); err == nil {
			return m.Protocol
		}
		return KindJSONL
	}
	return KindExec
}

// Entry is a plugin in the plugin directory: an executable, or a manifest.
type Entry struct {
	Name string // of the plugin
	Path string // of the file, absolute
	Kind Kind

	Manifest     *Manifest // of those that have one
	SettingsFile string    // settings that count in place of all others; usually empty

	// Err says why the plugin cannot run until its file changes. The others
	// are not affected.
	Err error
}

// settingsMax bounds the settings of a plugin, in bytes.
const settingsMax = 1 << 20

// SettingsPath returns where the settings of a plugin are, if it has any and they
// are not in its manifest.
func (e *Entry) SettingsPath() string {
	if e.SettingsFile != "" {
		return e.SettingsFile
	}
	return filepath.Join(filepath.Dir(e.Path), e.Name+".json")
}

// ReadSettings returns the settings of a plugin, or nil if there are none: those
// in its manifest, or the file beside it.
func (e *Entry) ReadSettings() ([]byte, error) {
	path := e.SettingsPath()
	settings, err := readSettings(path)
	if err != nil || e.SettingsFile != "" || e.Manifest == nil || e.Manifest.Settings == nil {
		return settings, err
	}
	if settings != nil {
		return nil, fmt.Errorf("settings of the plugin are in %s and in %s: remove one", e.Path, path)
	}
	return e.Manifest.Settings, nil
}

// readSettings returns the content of a plugin's settings file, or nil if
// there is none. Only the plugin knows what it means.
func readSettings(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > settingsMax {
		return nil, fmt.Errorf("read the settings: %s is not a file of at most %d bytes", path, settingsMax)
	}
	settings, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return settings, nil
}
