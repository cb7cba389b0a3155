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

// KindOf returns the kind of the plugin in a file. For a manifest with a mistake it
// is a guess, but such a plugin does not start either.
func KindOf(path string) Kind {
	if strings.HasSuffix(path, ManifestSuffix) {
		if m, err := ReadManifest(path); err == nil {
			return m.Protocol
		}
		return KindJSONL
	}
	return KindExec
}

// Entry is one plugin of the plugin directory: an executable or a manifest.
type Entry struct {
	Name string // of the plugin
	Path string // of the file, absolute
	Kind Kind

	Manifest     *Manifest // nil for an executable
	SettingsFile string    // overrides all other settings; usually empty

	// Err is why the plugin cannot run until its file changes. Other plugins
	// are not affected.
	Err error
}

// settingsMax bounds the settings of a plugin, in bytes.
const settingsMax = 1 << 20

// SettingsPath returns the path of the plugin's settings file, which need not exist.
func (e *Entry) SettingsPath() string {
	if e.SettingsFile != "" {
		return e.SettingsFile
	}
	return filepath.Join(filepath.Dir(e.Path), e.Name+".json")
}

// ReadSettings returns the settings of a plugin, from its manifest or from the file
// beside it, or nil if it has none.
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

// readSettings returns the content of a settings file, or nil if there is none.
// Only the plugin knows what it means.
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
