package instance

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hookswitch/hookswitch/internal/durable"
)

// latest returns the file that names the data directory of this user's latest
// "hookswitch dev".
func latest() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "hookswitch", "dev"), err
}

// SetLatest notes that this user's latest "hookswitch dev" runs on the data directory
// dir, so that commands find it from other directories.
func SetLatest(dir string) error {
	file, err := latest()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(file, []byte(dir+"\n"))
}

// Latest returns the data directory of this user's latest "hookswitch dev", which may
// have ended, or "" if none is known.
func Latest() string {
	file, err := latest()
	if err != nil {
		return ""
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}
