package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Stamp identifies the state of all files of a plugin.
func (c *Catalog) Stamp(e Entry) string {
	parts := []string{e.Path, stampOf(e.Path), stampOf(e.SettingsPath())}
	for dir := c.Dir; ; dir = filepath.Dir(dir) { // somebody may fix its modes
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

// stampOf identifies the state of a file, following links. Owner and modes are part
// of it, so that a file that was refused for them is looked at again.
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

// IsOpenForWriting reports whether a process has a file open for writing, if the
// system can tell.
func IsOpenForWriting(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // reading it will report the error
	}
	defer f.Close()
	return openForWriting(f)
}

// stat identifies a file and its owners.
type stat struct {
	dev, ino uint64
	uid, gid int
}
