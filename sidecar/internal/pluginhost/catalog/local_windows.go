package catalog

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Local is false: there are no process groups, and no parent-death signal, to
// end plugins with.
const Local = false

// executable reports whether the system would run a file: by its name, since there
// is no mode.
func executable(path string, _ fs.FileInfo) bool {
	return slices.Contains([]string{".exe", ".com", ".bat", ".cmd"}, strings.ToLower(filepath.Ext(path)))
}
