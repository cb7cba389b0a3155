//go:build unix && !linux

package pluginhost

// isNoexec is known on Linux only.
func isNoexec(string) bool { return false }
