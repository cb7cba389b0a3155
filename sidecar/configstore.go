package sidecar

import (
	"crypto/ed25519"
	"path/filepath"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
)

// Dir returns the data directory: DataDir, or what follows from Store. Its
// error is a [*ConfigError].
func (c *Config) Dir() (string, error) {
	if c.DataDir != "" {
		return filepath.Clean(c.DataDir), nil
	}
	return c.storeDir()
}

// storeDir returns the directory that Store names, or that of a sidecar whose
// events are in a database.
func (c *Config) storeDir() (string, error) {
	text := c.Store
	if _, database := c.database(); database {
		text = ""
	}
	switch scheme, rest, found := strings.Cut(text, ":"); {
	case text == "" && c.Systemd.StateDirectory != "":
		// systemd separates several directories by colons.
		first, _, _ := strings.Cut(c.Systemd.StateDirectory, ":")
		return first, nil
	case text == "":
		return ".hookswitch", nil
	case !found || scheme != "file":
		return "", newConfigError("HOOKSWITCH_STORE", "is of an unknown kind: write it like file:/var/lib/hookswitch or postgres://USER:PASSWORD@HOST/DATABASE")
	case strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, "///"):
		return "", newConfigError("HOOKSWITCH_STORE", "names a host: write file:DIR with one slash or three")
	case strings.Trim(rest, "/") == "":
		return "", newConfigError("HOOKSWITCH_STORE", "names no directory: write it like file:/var/lib/hookswitch")
	default:
		return filepath.Clean(rest), nil
	}
}

// database returns the URL of the database that events are kept in, if they
// are kept in one. It may hold a password.
func (c *Config) database() (string, bool) {
	return c.Store, strings.HasPrefix(c.Store, "postgres://") || strings.HasPrefix(c.Store, "postgresql://")
}

// DatabaseURL returns the URL of the PostgreSQL database that keeps the events,
// with its password; empty if they are in the data directory.
func (c *Config) DatabaseURL() string {
	if url, ok := c.database(); ok {
		return url
	}
	return ""
}

// Forwards returns where events are forwarded to, a line for each route and
// HOOKSWITCH_FORWARD_TO, without the passwords that the URLs may contain.
func (c *Config) Forwards() (lines []string) {
	for _, r := range c.Routes {
		line := strings.Join(r.Match, ",") + " → " + redactURL(r.To)
		if r.Mode == "sync" {
			line += " (sync)"
		}
		lines = append(lines, line)
	}
	if c.ForwardTo != "" {
		lines = append(lines, redactURL(c.ForwardTo))
	}
	return lines
}

// LoadForwardKey returns the key that signs forwarded requests: that of
// ForwardKey, or else the one in the data directory dir, which is made if there
// is none.
func (c *Config) LoadForwardKey(dir string) (ed25519.PrivateKey, error) {
	if c.ForwardKey == "" {
		return keyfile.Load(dir, keyfile.Forward)
	}
	key, err := keyfile.Parse(string(c.ForwardKey))
	if err != nil {
		return nil, newConfigError("HOOKSWITCH_FORWARD_KEY", err.Error())
	}
	return key, nil
}
