//go:build !linux

package catalog

// isNoexec is known on Linux only.
func isNoexec(string) bool { return false }
