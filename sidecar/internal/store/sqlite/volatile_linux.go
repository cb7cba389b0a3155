package sqlite

import "golang.org/x/sys/unix"

// volatile returns the kind of file system of dir if that forgets: the memory of this
// machine, or the layer of a container.
func volatile(dir string) string {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return "" // opening the database reports the error
	}
	switch int64(fs.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	}
	return ""
}
