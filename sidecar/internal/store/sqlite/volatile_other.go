//go:build !linux

package sqlite

// volatile returns "": only Linux reports it.
func volatile(string) string { return "" }
