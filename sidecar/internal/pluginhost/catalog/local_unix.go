//go:build unix

package catalog

import "io/fs"

// Local reports whether this system can run plugins, not only connect to them.
const Local = true

// executable reports whether the system would run a file.
func executable(_ string, info fs.FileInfo) bool { return info.Mode().Perm()&0o111 != 0 }
