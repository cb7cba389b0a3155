package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hookswitch/hookswitch/internal/durable"
	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// Target is the place where a backup is restored.
type Target struct {
	Dir     string // data directory; created if missing
	URL     string // of an empty PostgreSQL database; empty: SQLite in Dir
	Replace bool   // move existing files aside; without it they are an error
}

// Restored is the result of Restore.
type Restored struct {
	Manifest *Manifest
	Aside    string // directory with what was there before; empty if nothing was
}

// Restore restores the backup in dir. No sidecar may run on the data directory.
// The order of effects, so that an interruption leaves no mixture of old and new:
//
//  1. the backup is checked, the directory locked,
//  2. the new files are copied beside the old ones, under temporary names; the
//     tables of PostgreSQL are loaded, all or none,
//  3. the old ones are moved aside: the log of the old database first, since the
//     new one would take it for its own and be damaged,
//  4. the new ones are renamed into place, the database last: a start before
//     that finds no database, and one after it finds all.
func (t Target) Restore(ctx context.Context, dir string) (r Restored, err error) {
	if r.Manifest, err = Read(ctx, dir); err != nil {
		return r, err
	}
	if got := r.Manifest.Store; (got == storePostgres) != (t.URL != "") {
		return r, fmt.Errorf("restore: %s is a backup of a %s store, and HOOKSWITCH_STORE names one of another kind", dir, got)
	}
	if within(filepath.Join(t.Dir, manifestFile), dir) {
		return r, fmt.Errorf("restore: the data directory %s is in the backup itself, which a sidecar would change: name another one in HOOKSWITCH_STORE or HOOKSWITCH_DATA_DIR", t.Dir)
	}
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	lock, err := dirlock.Take(t.Dir)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := t.give(filepath.Join(t.Dir, "lock")); err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	old := t.present(r.Manifest)
	if len(old) > 0 && !t.Replace {
		return r, fmt.Errorf("restore: %s is there already: give --replace to move it aside, or name an empty data directory", filepath.Join(t.Dir, old[len(old)-1]))
	}
	tmp, err := os.MkdirTemp(t.Dir, ".restore-*")
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(tmp)
	if r.Aside, err = t.replace(ctx, dir, tmp, r.Manifest, old); err != nil {
		if r.Aside != "" {
			err = fmt.Errorf("%w: nothing is lost: what was there before is in %s; move it back, or restore again with --replace", err, r.Aside)
		}
		return r, fmt.Errorf("restore: %w", err)
	}
	return r, nil
}

// present lists the files that a restore replaces, the log of the database first.
func (t Target) present(m *Manifest) (names []string) {
	var all []string
	if m.Store == storeSQLite {
		all = append(all, sqlite.FileName+"-wal", sqlite.FileName+"-shm", sqlite.FileName+"-journal")
	}
	for _, f := range m.Files {
		all = append(all, f.Name)
	}
	for _, name := range all {
		if _, err := os.Lstat(filepath.Join(t.Dir, name)); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// replace does steps 2 to 4 of Restore and returns where the old files are. The
// database is the last file of a manifest.
func (t Target) replace(ctx context.Context, dir, tmp string, m *Manifest, old []string) (aside string, err error) {
	for _, f := range m.Files {
		if f.Name == dumpFile {
			continue
		}
		if err := copyFile(filepath.Join(dir, f.Name), filepath.Join(tmp, f.Name)); err != nil {
			return "", err
		}
		if err := t.give(filepath.Join(tmp, f.Name)); err != nil {
			return "", err
		}
	}
	// Last of the steps that may well fail: existing tables are not loaded again.
	if m.Store == storePostgres {
		if err := load(ctx, t.URL, filepath.Join(dir, dumpFile)); err != nil {
			return "", err
		}
	}
	if len(old) > 0 {
		aside = filepath.Join(t.Dir, "before-restore-"+time.Now().UTC().Format("20060102T150405.000Z"))
		if err := os.Mkdir(aside, 0o700); err != nil {
			return "", err
		}
		if err := t.give(aside); err != nil {
			return aside, err
		}
	}
	for _, name := range old {
		if err := os.Rename(filepath.Join(t.Dir, name), filepath.Join(aside, name)); err != nil {
			return aside, err
		}
	}
	if err := durable.SyncDir(t.Dir); err != nil {
		return aside, err
	}
	for _, f := range m.Files {
		if f.Name == dumpFile {
			continue
		}
		if err := os.Rename(filepath.Join(tmp, f.Name), filepath.Join(t.Dir, f.Name)); err != nil {
			return aside, err
		}
	}
	return aside, durable.SyncDir(t.Dir)
}

// give gives a new file to the owner of the data directory: an operator may
// restore as root, and the sidecar's user has to open it.
func (t Target) give(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	fi, err := os.Stat(t.Dir)
	if err != nil {
		return err
	}
	return chownLike(fi, path)
}
