package instance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/internal/durable"
)

// maxLatest is how many data directories are remembered.
const maxLatest = 16

// latest returns the file that names the data directories of this user's latest
// "hookswitch dev", a line for each.
func latest() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "hookswitch", "dev"), err
}

// AddLatest notes that a "hookswitch dev" of this user runs on the data directory dir,
// so that commands find it from other directories.
func AddLatest(dir string) error {
	file, err := latest()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	list := append([]string{dir}, slices.DeleteFunc(Latest(), func(other string) bool { return other == dir })...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(file, []byte(strings.Join(list[:min(len(list), maxLatest)], "\n")+"\n"))
}

// Latest returns the data directories of this user's latest "hookswitch dev", which
// may have ended, the last one first.
func Latest() []string {
	file, err := latest()
	if err != nil {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
