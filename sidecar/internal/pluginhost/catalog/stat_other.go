//go:build !unix

package catalog

import "io/fs"

// statOf knows nothing here.
func statOf(fs.FileInfo) (stat, bool) { return stat{}, false }
