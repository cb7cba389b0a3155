package lint

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// A Report is what [Run] has found.
type Report struct {
	Findings []Finding `json:"findings"` // in the order of files and lines
	Files    int       `json:"files"`    // how many were read
	Skipped  []Skipped `json:"skipped"`  // what was not
}

// Skipped is a file or folder that was not read.
type Skipped struct {
	Path string `json:"path"`
	Why  Why    `json:"why"`
}

// Why says why something was not read.
type Why string

const (
	Vendored   Why = "vendored"   // a folder of other people's code
	Built      Why = "built"      // a folder of what a build made
	Hidden     Why = "hidden"     // a folder whose name begins with a dot
	Link       Why = "link"       // a symbolic link: what it leads to is read where it is, or is somebody else's
	Data       Why = "data"       // JSON, YAML and the like, which compare nothing
	Binary     Why = "binary"     // holds a zero byte
	Minified   Why = "minified"   // a line longer than 5,000 bytes
	Huge       Why = "huge"       // more than 1 MiB
	Special    Why = "special"    // a pipe, a socket, a device
	Test       Why = "test"       // a file of tests, which make events and expect what becomes of them
	Unreadable Why = "unreadable" // the system does not allow it
)

const (
	maxFile = 1 << 20
	maxLine = 5000
)

var (
	vendored  = "node_modules vendor bower_components jspm_packages site-packages dist-packages venv virtualenv Pods Carthage third_party third-party __pypackages__ elm-stuff"
	built     = "dist build target _build coverage __pycache__"
	manifests = []string{"package.json", "go.mod", "composer.json", "Gemfile", "pyproject.toml", "requirements.txt", "setup.py", "Pipfile", "pom.xml", "build.gradle", "build.gradle.kts", "Cargo.toml", "mix.exs", "Package.swift", "pubspec.yaml"}
	data      = ".json .jsonl .ndjson .json5 .ipynb .yaml .yml .toml .xml .csv .tsv .svg .map .lock .sum .po .txt .log .ini .properties .css .scss .less .plist"
)

// test is how paths of tests are called, below the folder of their program.
var test = regexp.MustCompile(`(?i)(^|[/_.-])(tests?|specs?|fixtures?|mocks?|testdata|__tests__|stubs?)([/_.-]|$)|(?-i:[a-z]Tests?\.\w+$)`)

// Run reads the files below each path, each once, and returns what is wrong in
// them. A path may be a file. It follows no symbolic link but a path itself. The
// error is that of a path that cannot be read, or the context's.
func Run(ctx context.Context, paths ...string) (*Report, error) {
	w := &walk{ctx: ctx, programs: make(map[string][]*source), seen: make(map[string]bool)}
	w.report = Report{Findings: []Finding{}, Skipped: []Skipped{}}
	// A folder comes before what is in it, as whose part that is read.
	paths = slices.Clone(paths)
	sort.SliceStable(paths, func(i, j int) bool { return len(paths[i]) < len(paths[j]) })
	for _, path := range paths {
		path = filepath.Clean(path)
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			w.above(path, path)
			err = w.folder(path, path)
		default:
			w.above(filepath.Dir(path), filepath.Dir(path))
			err = w.file(filepath.Dir(path), path, info.Mode())
		}
		if err != nil {
			return nil, err
		}
	}
	for _, program := range w.order {
		w.report.Findings = append(w.report.Findings, findings(w.programs[program])...)
	}
	found := w.report.Findings // programs lie within programs
	sort.SliceStable(found, func(i, j int) bool { return found[i].File < found[j].File })
	return &w.report, nil
}

type walk struct {
	ctx      context.Context
	report   Report
	programs map[string][]*source // by folder
	order    []string             // of the programs
	seen     map[string]bool      // whole paths
}

// again reports whether a path was read before.
func (w *walk) again(path string) bool {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	before := w.seen[path]
	w.seen[path] = true
	return before
}

func (w *walk) skip(path string, why Why) {
	w.report.Skipped = append(w.report.Skipped, Skipped{path, why})
}

// folder reads what is in a folder, as part of the program in another folder.
func (w *walk) folder(program, path string) error {
	if w.again(path) {
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		w.skip(path, Unreadable)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	if slices.ContainsFunc(manifests, has) {
		program = path
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			w.skip(name, Link)
		case e.IsDir():
			if why := skipFolder(name, e.Name()); why != "" {
				w.skip(name, why)
			} else if err := w.folder(program, name); err != nil {
				return err
			}
		default:
			if err := w.file(program, name, e.Type()); err != nil {
				return err
			}
		}
	}
	return nil
}

// above reads what a program in a folder is about, from the nearest manifests in
// or above another.
func (w *walk) above(program, path string) {
	path, err := filepath.Abs(path)
	for found := false; err == nil && !found; path = filepath.Dir(path) {
		for _, name := range manifests {
			text, why := readFile(filepath.Join(path, name))
			if found = found || why == ""; mentions(strings.ToLower(string(text)), telnyx) {
				w.add(program, &source{telnyx: []int{0}})
			}
		}
		if path == filepath.Dir(path) {
			return
		}
	}
}

func skipFolder(path, name string) Why {
	switch _, err := os.Stat(filepath.Join(path, "pyvenv.cfg")); {
	case oneOf(name, vendored), err == nil:
		return Vendored
	case oneOf(name, built):
		return Built
	case strings.HasPrefix(name, "."):
		return Hidden
	}
	return ""
}

// file reads a file. A manifest is data that says what a program is about.
func (w *walk) file(program, path string, mode fs.FileMode) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.again(path) {
		return nil
	}
	isData := oneOf(strings.ToLower(filepath.Ext(path)), data)
	manifest := slices.Contains(manifests, filepath.Base(path))
	var text []byte
	var why Why
	switch {
	case !mode.IsRegular():
		why = Special
	case isData && !manifest:
		why = Data
	case test.MatchString(filepath.ToSlash(strings.TrimPrefix(path, program))):
		why = Test
	default:
		text, why = readFile(path)
	}
	if why == "" && isData {
		if why = Data; mentions(strings.ToLower(string(text)), telnyx) {
			w.add(program, &source{telnyx: []int{0}})
		}
	}
	if why != "" {
		w.skip(path, why)
		return nil
	}
	w.report.Files++
	w.add(program, read(path, text))
	return nil
}

func (w *walk) add(program string, s *source) {
	if w.programs[program] == nil {
		w.order = append(w.order, program)
	}
	w.programs[program] = append(w.programs[program], s)
}

// readFile returns the text of a file, or why it is not source.
func readFile(path string) ([]byte, Why) {
	switch info, err := os.Stat(path); {
	case err != nil:
		return nil, Unreadable
	case !info.Mode().IsRegular(): // opening a pipe would wait for its writer
		return nil, Special
	case info.Size() > maxFile:
		return nil, Huge
	}
	text, err := os.ReadFile(path)
	switch {
	case err != nil:
		return nil, Unreadable
	case bytes.IndexByte(text, 0) >= 0:
		return nil, Binary
	}
	for line := range bytes.Lines(text) {
		if len(line) > maxLine {
			return nil, Minified
		}
	}
	return text, ""
}
