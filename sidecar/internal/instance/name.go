package instance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// Name returns the name of this sidecar among those that share a
// database. It stays the same when the sidecar is restarted on this machine, so
// that it finds its own jobs. The machine's name is part of it, because a data
// directory may be copied to another one.
func Name(dir string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	path := filepath.Join(dir, "instance")
	text, err := os.ReadFile(path)
	id, parseErr := uuid.Parse(strings.TrimSpace(string(text)))
	if err != nil || parseErr != nil {
		// A sidecar that loses it gets a new name and waits for the lease of
		// the old one, which does no harm.
		id = uuid.New()
		if err := os.WriteFile(path, []byte(id.String()+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("name this sidecar: %w", err)
		}
	}
	return host + "/" + id.String(), nil
}
