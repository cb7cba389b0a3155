//go:build !linux

package sqlite

// volatile is known on Linux only.
func volatile(string) string { return "" }
