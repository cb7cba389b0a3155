//go:build !linux

package catalog

import "os"

// openForWriting cannot tell here: a file is complete when it has not changed for a
// while.
func openForWriting(*os.File) bool { return false }
