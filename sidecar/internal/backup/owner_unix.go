//go:build unix

package backup

import (
	"os"
	"syscall"
)

// chownLike gives a file to the owner of another one.
func chownLike(fi os.FileInfo, path string) error {
	if owner, ok := fi.Sys().(*syscall.Stat_t); ok {
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	}
	return nil
}
