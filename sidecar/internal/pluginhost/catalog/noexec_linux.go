package catalog

import "syscall"

// isNoexec reports whether the file system of a path is mounted noexec.
func isNoexec(path string) bool {
	const noexec = 0x8 // ST_NOEXEC, which package syscall lacks
	var fs syscall.Statfs_t
	return syscall.Statfs(path, &fs) == nil && fs.Flags&noexec != 0
}
