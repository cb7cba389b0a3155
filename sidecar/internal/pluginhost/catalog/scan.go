package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// filePrefix may begin the name of a plugin's file. It is not part of the plugin's
// name.
const filePrefix = "hookswitch-plugin-"

var (
	// programName is the form of an executable's name. Debian's run-parts has
	// the same rule: it skips whatever packagers, editors and people leave
	// beside a program.
	programName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

	// manifestName is the form of a manifest's name. Nobody leaves a manifest by accident.
	manifestName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
)

// Misfit is a file of the plugin directory that looks like a plugin but cannot be
// one. Other plugins are not affected.
type Misfit struct {
	Path   string
	Reason string // ends with what to do

	// Lonely is true for a script that lacks its manifest, which may be on its
	// way: the script has to be copied first.
	Lonely bool
}

func (m Misfit) String() string { return m.Path + ": " + m.Reason }

// Listing is the content of a plugin directory.
type Listing struct {
	Plugins []Entry  // sorted by file name
	Misfits []Misfit // likewise
	Left    []Misfit // files left beside plugins, such as backups
}

// scan lists the plugins in dir. A directory that does not exist has none. Of two
// files for one plugin, the one in prefer wins, or else the one with the prefix.
func scan(dir string, prefer map[string]string, log *slog.Logger) (l Listing, err error) {
	if dir == "" {
		return l, nil
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return l, fmt.Errorf("find the plugin directory: %w", err)
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read the plugin directory: %w", err)
	}
	manifests, parts := scanManifests(dir, entries)
	l.Misfits = lonelyScripts(dir, entries, parts)
	byName := make(map[string]int) // plugin name → index in l.Plugins
	var local []string             // plugins that this system cannot run
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		f, ok := manifests[path]
		if !ok {
			f = Entry{Kind: KindExec}
			if why := notPluginOf(parts, path); why != "" {
				log.Debug("file in the plugin directory is not a plugin", "path", path, "reason", why)
				continue
			}
		}
		if !Local && f.Err == nil && f.Kind != KindRemote {
			local = append(local, entry.Name())
			continue
		}
		f.Name, f.Path = NameOf(path), path
		if why := leftBehind(path); !ok && why != "" {
			l.Left = append(l.Left, Misfit{Path: path, Reason: why})
			continue
		}
		if why := badName(f.Name, ok); why != "" {
			if manifest := needsManifest(path); manifest != "" && !ok {
				why += "; or, if it reads lines of JSON, " + manifest
			}
			l.Misfits = append(l.Misfits, Misfit{Path: path, Reason: why})
			continue
		}
		if i, twice := byName[f.Name]; twice {
			other := l.Plugins[i]
			if prefer[f.Name] == path || prefer[f.Name] != other.Path && strings.HasPrefix(entry.Name(), filePrefix) {
				l.Plugins[i], path, other = f, other.Path, f
			}
			l.Misfits = append(l.Misfits, Misfit{Path: path, Reason: fmt.Sprintf("it is a second plugin %s, which is there as %s: rename or remove one", f.Name, other.Path)})
			continue
		}
		byName[f.Name] = len(l.Plugins)
		l.Plugins = append(l.Plugins, f)
	}
	if len(local) > 0 {
		l.Misfits = append(l.Misfits, Misfit{Path: dir, Reason: strings.Join(local, ", ") + ": " + NotLocal + ": " + goRemote})
	}
	slices.SortStableFunc(l.Misfits, func(a, b Misfit) int { return strings.Compare(a.Path, b.Path) })
	return l, nil
}

// What is wrong with a plugin that is a program where Local is false, and what to do.
const (
	NotLocal = "plugins that are programs do not run on " + runtime.GOOS
	goRemote = "run them on a Unix, in WSL or in a container, and put manifests with \"protocol\": \"remote\" in the directory (plugins/PROTOCOL.md)"
)

// CheckDir returns what is wrong with individual files of a plugin directory. It
// does not report a directory that cannot be read.
func CheckDir(dir string) (problems []string) {
	l, _ := scan(dir, nil, slog.New(slog.DiscardHandler)) // starting the host reports the error
	for _, m := range l.Misfits {
		problems = append(problems, m.String())
	}
	return problems
}

// NameOf returns the name of the plugin in a file.
func NameOf(path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), filePrefix), ManifestSuffix)
}

// badName returns why a name cannot be that of a plugin, and what to do.
func badName(name string, ofManifest bool) string {
	switch {
	case ofManifest && !manifestName.MatchString(name):
		return fmt.Sprintf("its name %q may have letters, digits, '.', '_' and '-' only: rename it", name)
	case ofManifest || programName.MatchString(name):
		return ""
	case strings.Trim(name, "~") != name && programName.MatchString(strings.Trim(name, "~")):
		return "it looks like a copy left by an editor: remove it, or clear its executable bit (chmod -x)"
	}
	return fmt.Sprintf("its name %q may have letters, digits, '_' and '-' only: rename it, or clear its executable bit (chmod -x)", name)
}

// leftovers are the suffixes that package managers, editors and people give to
// files they put aside.
var leftovers = regexp.MustCompile(`(?i)\.(bak|backup|old|orig|save[0-9]*|rej|prev|disabled|off|inactive|unused|copy|new|part|partial|crdownload|swp|swo|swx|un~|dist|sample|example|` +
	`dpkg-[a-z]+|ucf-[a-z]+|rpm(new|save|orig|moved)|pac(new|save|orig)|apk-new|cfsaved|lock|md5|sha256|sig|asc|[0-9][0-9._:T-]*)[~0-9]*$`)

// leftBehind returns why an executable was put aside, or "". Its name has one
// of the usual suffixes, or is the name of a plugin beside it plus a dot and more.
func leftBehind(path string) string {
	base := filepath.Base(path)
	stem, _, dotted := strings.Cut(base, ".")
	switch {
	case !dotted:
		return ""
	case leftovers.MatchString(base):
		return "a file that was put aside"
	case notPlugin(filepath.Join(filepath.Dir(path), stem)) == "":
		return "another form of " + stem + ", beside it"
	}
	return ""
}

// scanManifests reads the manifests among the entries, by path, and lists the files
// that their commands name: an executable script is not always a plugin itself.
func scanManifests(dir string, entries []os.DirEntry) (manifests map[string]Entry, parts []string) {
	manifests = make(map[string]Entry)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || !strings.HasSuffix(entry.Name(), ManifestSuffix) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		m, err := ReadManifest(path)
		if err != nil {
			manifests[path] = Entry{Err: err}
			continue
		}
		manifests[path] = Entry{Kind: m.Protocol, Manifest: m}
		parts = append(parts, m.files()...)
	}
	return manifests, parts
}

// lonelyScripts lists scripts that nothing runs: they are not executable, and no
// manifest names them. Where a manifest runs a script of the same language they may
// be a part of that.
func lonelyScripts(dir string, entries []os.DirEntry, parts []string) (lonely []Misfit) {
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		manifest := needsManifest(path)
		if manifest == "" || notPlugin(path) != notExecutable {
			continue
		}
		if !slices.ContainsFunc(parts, func(part string) bool { return filepath.Ext(part) == filepath.Ext(path) }) {
			lonely = append(lonely, Misfit{path, "it is a script without a manifest, so nothing runs it: " + manifest, true})
		}
	}
	return lonely
}

// notPluginOf is notPlugin in a directory whose manifests run the files in parts.
func notPluginOf(parts []string, path string) string {
	why := notPlugin(path)
	switch {
	case why != "":
	case slices.Contains(parts, path):
		why = "part of the command of a manifest"
	case strings.HasSuffix(path, ".json"):
		why = "settings"
	}
	return why
}

const notExecutable = "not executable"

// notPlugin returns why a file is skipped, or "".
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
	case !executable(path, info):
		return notExecutable
	}
	return ""
}

// List returns the plugins in a directory by name, without starting any. The values
// are the event types that manifests declare.
func List(dir string) (map[string][]string, error) {
	list, err := scan(dir, nil, slog.New(slog.DiscardHandler))
	plugins := make(map[string][]string)
	for _, f := range list.Plugins {
		plugins[f.Name] = nil
		if f.Manifest != nil {
			plugins[f.Name] = f.Manifest.Events
		}
	}
	return plugins, err
}
