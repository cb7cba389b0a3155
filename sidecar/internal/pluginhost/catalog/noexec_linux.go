package catalog

import "syscall"

// isNoexec reports whether the file system of a path lets nothing be run.
func isNoexec(path string) bool {
	const noexec = 0x8 // ST_NOEXEC, which syscall does not have
	var fs syscall.Statfs_t
	return syscall.Statfs(path, &fs) == nil && fs.Flags&noexec != 0
}
