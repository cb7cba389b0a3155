package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Stamp identifies the state of all that a plugin is made of.
func (c *Catalog) Stamp(e Entry) string {
	parts := []string{e.Path, stampOf(e.Path), stampOf(e.SettingsPath())}
	for dir := c.Dir; ; dir = filepath.Dir(dir) { // whose modes may be fixed
		if info, err := os.Stat(dir); err == nil {
			parts = append(parts, info.Mode().String())
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if e.Manifest != nil {
		for _, path := range e.Manifest.files() {
			parts = append(parts, stampOf(path))
		}
	}
	return strings.Join(parts, " ")
}

// TrustStamp identifies the state of the list of trusted programs.
func (c *Catalog) TrustStamp() string { return stampOf(c.Trust.Sums) }

// stampOf identifies the state of a file, wherever links lead. It changes when
// the file does, and when it becomes one that can be checked after all: owner
// and modes of the file are part of it.
func stampOf(path string) string {
	if path == "" {
		return ""
	}
	info, err := os.Stat(path)
	if err != nil {
		return "-"
	}
	stamp := fmt.Sprintf("%d.%d.%v", info.Size(), info.ModTime().UnixNano(), info.Mode())
	if s, ok := statOf(info); ok {
		stamp += fmt.Sprintf(".%d.%d.%d", s.dev, s.ino, s.uid)
	}
	return stamp
}

// IsOpenForWriting reports whether a process has a file open for writing, as far as
// the system can tell.
func IsOpenForWriting(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // whoever reads it will say so
	}
	defer f.Close()
	return openForWriting(f)
}

// stat identifies a file and its owners.
type stat struct {
	dev, ino uint64
	uid, gid int
}
