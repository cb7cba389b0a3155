package backup

import "os"

// chownLike does nothing: a file takes its access from its directory.
func chownLike(os.FileInfo, string) error { return nil }
