package sqlite

import "golang.org/x/sys/unix"

// volatile returns the kind of file system that dir is on if it is one that
// forgets: the memory of this machine, or the layer of a container.
func volatile(dir string) string {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return "" // opening the database says what is wrong
	}
	switch int64(fs.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	}
	return ""
}
