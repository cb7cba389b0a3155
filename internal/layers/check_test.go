package layers

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// file holds what the rules need to know of one Go file.
type file struct {
	name        string // slash-separated, from the root of the module
	test        bool   // name ends in _test.go
	generated   bool
	lines       int
	imports     []string
	inits       bool     // declares func init
	environment []string // functions used that read or change the environment
}

// dir is the directory of the file: the path of its package in the module.
func (f file) dir() string { return path.Dir(f.name) }

// check returns every breach of the rules by the files, sorted.
func check(files []file) []string {
	c := checker{unplaced: make(map[string]bool)}
	for _, f := range files {
		c.file(f)
	}
	slices.Sort(c.breaches)
	return c.breaches
}

type checker struct {
	breaches []string
	unplaced map[string]bool // packages already reported as not in the table
}

func (c *checker) breach(format string, args ...any) {
	c.breaches = append(c.breaches, fmt.Sprintf(format, args...))
}

func (c *checker) file(f file) {
	here, part, found := place(f.dir())
	if !found {
		if !c.unplaced[f.dir()] {
			c.unplaced[f.dir()] = true
			c.breach("%s: the package has no layer: give it a row in internal/layers/table_test.go, or move it to a place that has one", f.dir())
		}
		return
	}
	for _, i := range f.imports {
		first, _, _ := strings.Cut(i, "/")
		switch below, own := strings.CutPrefix(i, module+"/"); {
		case own:
			c.ownImport(f, here, part, below)
		case i == "C":
			c.breach("%s: imports C: the binaries are static", f.name)
		case strings.Contains(first, "."):
			c.dependency(f, here, i)
		}
	}
	if f.test {
		return
	}
	if f.lines > maxLines && !f.generated {
		c.breach("%s: %d lines, more than %d: one idea a file", f.name, f.lines, maxLines)
	}
	if f.inits && !f.generated && !slices.Contains(initFiles, f.name) {
		c.breach("%s: func init: nothing registers itself, package sidecar wires", f.name)
	}
	if len(f.environment) > 0 && f.name != configFile && matchAny(environmentFree, f.dir()) {
		c.breach("%s: uses %s: only %s reads the environment", f.name, strings.Join(f.environment, ", "), configFile)
	}
}

// ownImport judges the import of the package at path to, below the module.
func (c *checker) ownImport(f file, here row, part, to string) {
	for _, b := range bans {
		if _, banned := match(b.to, to); banned && matchAny(b.from, f.dir()) {
			c.breach("%s: imports %s: %s", f.name, to, b.why)
			return
		}
	}
	there, toPart, found := place(to)
	switch {
	case !found: // reported with its own files
	case toPart == part:
	case there.layer == testOnly:
		if !f.test && here.layer != testOnly {
			c.breach("%s: imports %s: only tests do", f.name, to)
		}
	case there.layer == program:
		c.breach("%s: imports %s: nothing imports a program", f.name, to)
	case here.layer == testOnly:
	case there.layer == aside:
		if !strings.HasPrefix(f.name, "sidecar/") {
			c.breach("%s: imports %s: only the sidecar does", f.name, to)
		}
	case here.layer == aside:
		if there.layer > 10 {
			c.breach("%s: imports %s: what the whole sidecar imports may import only layers 0 and 10", f.name, to)
		}
	case there.layer > here.layer:
		c.breach("%s: imports %s: layer %d imports layer %d, and imports point down", f.name, to, here.layer, there.layer)
	case there.layer == here.layer && f.test && slices.Contains(here.testsUse, toPart):
	case there.layer == here.layer:
		c.breach("%s: imports %s: both are of layer %d: declare the interface that is needed and let package sidecar pass it", f.name, to, here.layer)
	case here.public && !f.test && !strings.HasPrefix(to, "middleware/") && !strings.HasPrefix(to, "plugins/sdk"):
		c.breach("%s: imports %s: only middleware and plugins/sdk, or nobody could copy it", f.name, to)
	}
}

// dependency judges the import of another module's package.
func (c *checker) dependency(f file, here row, to string) {
	if f.test {
		return
	}
	if here.stdOnly {
		c.breach("%s: imports %s: the package imports the standard library only", f.name, to)
		return
	}
	for dependency, patterns := range homes {
		if to == dependency || strings.HasPrefix(to, dependency+"/") {
			if !matchAny(patterns, f.dir()) {
				c.breach("%s: imports %s: at home only in %s", f.name, to, strings.Join(patterns, ", "))
			}
			return
		}
	}
	c.breach("%s: imports %s: a dependency that is not in the homes of internal/layers/table_test.go: it must pay for itself", f.name, to)
}

// place returns the row of a package and the part that it belongs to. The
// first row that matches counts, as with store before store/... .
func place(dir string) (row, string, bool) {
	for _, r := range table {
		if part, ok := match(r.pattern, dir); ok {
			return r, part, true
		}
	}
	return row{}, "", false
}

// match reports whether a directory matches a pattern, and the part of it that
// stands for the pattern without "/...".
func match(pattern, dir string) (string, bool) {
	pattern, deep := strings.CutSuffix(pattern, "/...")
	segments := strings.Split(dir, "/")
	n := strings.Count(pattern, "/") + 1
	if len(segments) < n || len(segments) > n && !deep {
		return "", false
	}
	part := strings.Join(segments[:n], "/")
	ok, err := path.Match(pattern, part)
	if err != nil {
		panic(err)
	}
	return part, ok
}

func matchAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		_, ok := match(p, dir)
		return ok
	})
}
