package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// filePrefix may begin the name of a plugin's file; it is not part of the
// plugin's name.
const filePrefix = "hookswitch-plugin-"

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// found is a plugin in the plugin directory: an executable, or a manifest.
type found struct {
	name string // of the plugin
	path string // of the file, absolute
	kind kind

	manifest *manifest // of those that have one
	settings string    // file with settings that count in place of all others; usually empty
	// err says why the plugin cannot run until its file changes. The others
	// are not affected.
	err error

	sealed *sealed // nil while only the directory has been looked at
}

// sealed is what was taken from the directory when a plugin was checked, so that
// what starts is what was checked.
type sealed struct {
	exec     string // the private copy of an executable; empty for other kinds
	settings []byte
}

// program returns the path of what is executed.
func (f *found) program() string {
	if f.sealed != nil && f.sealed.exec != "" {
		return f.sealed.exec
	}
	return f.path
}

// scan lists the plugins of dir by name. A directory that does not exist has
// none. Files that are no plugins are passed over. If the error is a
// [scanProblems] the plugins are there all the same.
func scan(dir string, log *slog.Logger) ([]found, error) {
	if dir == "" {
		return nil, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the plugin directory: %w", err)
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the plugin directory: %w", err)
	}
	manifests, parts := scanManifests(dir, entries)
	var plugins []found
	var problems scanProblems
	byName := make(map[string]string) // plugin name → path
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		f, ok := manifests[path]
		if !ok {
			f = found{kind: kindExec}
			why := notPlugin(path)
			if why == "" && slices.Contains(parts, path) {
				why = "part of the command of a manifest"
			}
			if why != "" {
				log.Debug("file in the plugin directory is no plugin", "path", path, "reason", why)
				continue
			}
		}
		name := strings.TrimSuffix(strings.TrimPrefix(entry.Name(), filePrefix), manifestSuffix)
		if !validName.MatchString(name) {
			problems = append(problems, fmt.Errorf("plugin file %q: a name may have letters, digits, '.', '_' and '-' only: rename it, or take away its executable bit", path))
			continue
		}
		if other, ok := byName[name]; ok {
			problems = append(problems, fmt.Errorf("plugin %q is there twice, as %s and as %s: remove one", name, other, path))
			continue
		}
		byName[name] = path
		f.name, f.path = name, path
		plugins = append(plugins, f)
	}
	if problems != nil {
		return plugins, problems
	}
	return plugins, nil
}

// scanProblems are what is wrong with single files of a plugin directory.
type scanProblems []error

func (p scanProblems) Error() string { return errors.Join(p...).Error() }

// scanManifests reads the manifests among the entries, by path, and lists the
// files that their commands name: a script may be executable without being a
// plugin by itself.
func scanManifests(dir string, entries []os.DirEntry) (manifests map[string]found, parts []string) {
	manifests = make(map[string]found)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || !strings.HasSuffix(entry.Name(), manifestSuffix) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		m, err := readManifest(path)
		if err != nil {
			manifests[path] = found{err: err}
			continue
		}
		manifests[path] = found{kind: m.Protocol, manifest: m}
		parts = append(parts, m.files()...)
	}
	return manifests, parts
}

// notPlugin says why a file is passed over, or returns "".
func notPlugin(path string) string {
	base := filepath.Base(path)
	if strings.HasPrefix(base, ".") {
		return "hidden"
	}
	if strings.HasSuffix(base, ".tmp") {
		return "temporary"
	}
	info, err := os.Stat(path) // through symbolic links
	switch {
	case err != nil:
		return err.Error()
	case !info.Mode().IsRegular():
		return "not a regular file"
	case info.Mode().Perm()&0o111 == 0:
		return "not executable"
	}
	return ""
}

// List returns the names of the plugins in a directory, without starting any,
// and the event types that those with a manifest declare in it.
func List(dir string) (map[string][]string, error) {
	files, err := scan(dir, slog.New(slog.DiscardHandler))
	plugins := make(map[string][]string)
	for _, f := range files {
		plugins[f.name] = nil
		if f.manifest != nil {
			plugins[f.name] = f.manifest.Events
		}
	}
	if _, ok := errors.AsType[scanProblems](err); ok {
		err = nil // of single files; the others are there
	}
	return plugins, err
}
