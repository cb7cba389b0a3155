//go:build unix

package catalog

import (
	"io/fs"
	"syscall"
)

// statOf returns what the system knows of a file besides its mode.
func statOf(info fs.FileInfo) (stat, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stat{}, false
	}
	return stat{dev: uint64(s.Dev), ino: uint64(s.Ino), uid: int(s.Uid), gid: int(s.Gid)}, true
}
