package process

import "path/filepath"

// RunDir is the directory in which the plugins' sockets are made. On Windows
// there are none.
type RunDir struct{}

// CheckRunDir returns the absolute path of dir.
func CheckRunDir(dir string) (string, error) { return filepath.Abs(dir) }

// OpenRunDir does nothing.
func OpenRunDir(string, *Account) (*RunDir, error) { return new(RunDir), nil }

// Close does nothing.
func (d *RunDir) Close() {}
