package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// Storage says where events are kept, and for how long.
type Storage struct {
	// Store is the place of the events: "file:DIR" for a directory of this
	// machine, or postgres://USER:PASSWORD@HOST/DATABASE for a database that
	// several sidecars may share. The default is .hookswitch in the working
	// directory, or the state directory that systemd provides.
	Store string `env:"HOOKSWITCH_STORE" desc:"where events are kept: a directory, or a PostgreSQL database that several sidecars may share" example:"file:/var/lib/hookswitch" secret:"url"`

	// DataDir is the directory of the sidecar's keys, its socket and the files of
	// its plugins. The default is the directory of Store, or the default of
	// Store if that is a database. It belongs to one sidecar.
	DataDir string `env:"HOOKSWITCH_DATA_DIR" desc:"directory for keys, socket and plugin files; by default that of HOOKSWITCH_STORE" example:"/var/lib/hookswitch"`

	// Retention is how long events are kept after they were delivered,
	// discarded, or found to have no target. 0 keeps them for ever.
	Retention Duration `env:"HOOKSWITCH_RETENTION" envDefault:"720h" desc:"how long events are kept after delivery; 0s for ever" reload:"true"`

	// RetentionDead is the same for events with a dead letter. Events that
	// still have to be delivered are never removed.
	RetentionDead Duration `env:"HOOKSWITCH_RETENTION_DEAD" envDefault:"2160h" desc:"how long events with a dead letter are kept; 0s for ever" reload:"true"`

	// MaxDisk is how large the store may become before it removes delivered
	// events, oldest first, earlier than Retention says. It never removes
	// pending or dead events. 0 means no limit.
	MaxDisk ByteSize `env:"HOOKSWITCH_MAX_DISK" envDefault:"5GiB" desc:"size above which the oldest delivered events are removed; 0 for no limit" reload:"true"`
}

// validateStore checks where events are kept.
func (c *Config) validateStore(problem *Error) {
	if url := c.DatabaseURL(); url != "" {
		if err := postgres.CheckURL(url); err != nil {
			problem.add("HOOKSWITCH_STORE", err.Error())
		}
	} else if _, err := c.StoreDir(); err != nil {
		problem.join(err)
	}
}

// Dir returns the data directory: DataDir, or what follows from Store. Its
// error is an [*Error].
func (c *Config) Dir() (string, error) {
	if c.DataDir != "" {
		return filepath.Clean(c.DataDir), nil
	}
	return c.StoreDir()
}

// DirIsDefault reports whether nothing names a data directory, so that it is one in
// the current directory.
func (c *Config) DirIsDefault() bool {
	return c.DataDir == "" && c.Systemd.StateDirectory == "" && c.Store == ""
}

// StoreDir returns the directory that Store names, or the default one if Store is
// a database.
func (c *Config) StoreDir() (string, error) {
	text := c.Store
	if c.DatabaseURL() != "" {
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
		return "", NewError("HOOKSWITCH_STORE", "is of an unknown kind: write it like file:/var/lib/hookswitch or postgres://USER:PASSWORD@HOST/DATABASE")
	case strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, "///"):
		return "", NewError("HOOKSWITCH_STORE", "names a host: write file:DIR with one slash or three")
	case strings.Trim(rest, "/") == "":
		return "", NewError("HOOKSWITCH_STORE", "names no directory: write it like file:/var/lib/hookswitch")
	default:
		return filepath.Clean(rest), nil
	}
}

// DatabaseURL returns the URL of the PostgreSQL database that keeps the events,
// with its password; empty if they are in the data directory.
func (c *Config) DatabaseURL() string {
	if strings.HasPrefix(c.Store, "postgres://") || strings.HasPrefix(c.Store, "postgresql://") {
		return c.Store
	}
	return ""
}

// tooMuchDisk returns a warning if the store may become larger than its disk has
// room for. The oldest events are then removed before it is as large as that.
func (c *Config) tooMuchDisk() (list []string) {
	if c.DatabaseURL() != "" || c.MaxDisk <= 0 {
		return nil
	}
	dir, err := c.StoreDir()
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil // which is a problem, and said elsewhere
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			most, known := sqlite.Capacity(dir, at)
			if known && most < int64(c.MaxDisk) {
				return []string{fmt.Sprintf("HOOKSWITCH_MAX_DISK is %d MiB, but the disk of %s has room for %d MiB of events: the oldest are removed then; lower it, or make room", int64(c.MaxDisk)>>20, dir, most>>20)}
			}
			return nil
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
