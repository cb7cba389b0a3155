// Package backup copies everything a sidecar must not lose to a directory, and
// restores it.
//
// Start with [Source.Write], which works beside a running sidecar, [Read], which
// checks a backup, and [Target.Restore], which needs the sidecar stopped. A
// directory with its final name is a complete backup: it is written under a
// temporary name, synced and renamed.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/internal/durable"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// Manifest describes a backup. It is the file backup.json of its directory.
type Manifest struct {
	Format    int       `json:"format"` // 1
	Version   string    `json:"version"`
	CreatedAt time.Time `json:"created_at"` // everything acknowledged before is in it
	Store     string    `json:"store"`      // "sqlite" or "postgres"
	Schema    int       `json:"schema,omitempty"`
	Events    int64     `json:"events,omitempty"` // of SQLite only
	Files     []File    `json:"files"`
	Missing   []string  `json:"missing"` // what it lacks, to be kept elsewhere
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

const (
	manifestFile = "backup.json"
	keyExt       = ".key" // of all files with keys
	format       = 1

	// The values of Manifest.Store.
	storeSQLite   = "sqlite"
	storePostgres = "postgres"
)

// Source describes the sidecar to back up.
type Source struct {
	Dir     string   // data directory
	Keys    []string // names of key files in it; missing ones are skipped
	URL     string   // of the PostgreSQL database; empty: the store is SQLite in Dir
	Version string   // of this program
	Missing []string // what the backup cannot hold, in words
}

// Write writes a backup to dest, which must not exist. It leaves nothing behind
// when it fails.
func (s Source) Write(ctx context.Context, dest string) (*Manifest, error) {
	dest = filepath.Clean(dest) // of "a/b/" the parent is a
	if _, err := os.Lstat(dest); err == nil {
		return nil, fmt.Errorf("back up: %s exists already: name a new directory, such as one with the date", dest)
	}
	if within(dest, s.Dir) {
		return nil, fmt.Errorf("back up: %s is inside the data directory, and would be lost with it: name a directory elsewhere, on another disk if you can", dest)
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dest), "."+filepath.Base(dest)+"-*.partial") // mode 0700: keys and messages are in it
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	defer os.RemoveAll(tmp)
	m, err := s.fill(ctx, tmp)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, dest); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	return m, durable.SyncDir(filepath.Dir(dest))
}

// within reports whether path, which need not exist, is below dir, however both
// are spelt.
func within(path, dir string) bool {
	top, err := os.Stat(dir)
	if err != nil {
		return false
	}
	if path, err = filepath.Abs(path); err != nil {
		return false
	}
	for above := filepath.Dir(path); ; above = filepath.Dir(above) {
		if fi, err := os.Stat(above); err == nil && os.SameFile(fi, top) {
			return true
		}
		if above == filepath.Dir(above) {
			return false
		}
	}
}

// fill writes a complete backup into dir and syncs it. Keys come first: a key
// created later only signs what was forwarded later.
func (s Source) fill(ctx context.Context, dir string) (*Manifest, error) {
	m := &Manifest{Format: format, Version: s.Version, CreatedAt: time.Now().UTC(), Store: storeSQLite, Files: []File{}, Missing: s.Missing}
	var names []string
	for _, name := range s.Keys {
		err := copyFile(filepath.Join(s.Dir, name), filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("back up %s: %w", name, err)
		}
		names = append(names, name)
	}
	if s.URL != "" {
		m.Store = storePostgres
		if err := dump(ctx, s.URL, filepath.Join(dir, dumpFile)); err != nil {
			return nil, err
		}
		names = append(names, dumpFile)
	} else {
		sum, err := sqlite.Backup(ctx, s.Dir, filepath.Join(dir, sqlite.FileName))
		if err != nil {
			return nil, err
		}
		m.Schema, m.Events = sum.Schema, sum.Events
		names = append(names, sqlite.FileName)
	}
	for _, name := range names {
		f, err := describe(dir, name)
		if err != nil {
			return nil, fmt.Errorf("back up: %w", err)
		}
		m.Files = append(m.Files, f)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = durable.WriteFile(filepath.Join(dir, manifestFile), append(text, '\n'))
	}
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	return m, nil
}

// Read returns the manifest of the backup in dir, after checking every file
// against it and every page of the database.
func Read(ctx context.Context, dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read backup: %s is not a backup: it has no %s", dir, manifestFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("read backup: %s: %w", filepath.Join(dir, manifestFile), err)
	}
	if m.Format != format || m.Store != storeSQLite && m.Store != storePostgres {
		return nil, fmt.Errorf("read backup: %s was written by another version (%s) in a format that this one does not know: use that version", dir, m.Version)
	}
	database := map[string]string{storeSQLite: sqlite.FileName, storePostgres: dumpFile}[m.Store]
	if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == database }) {
		return nil, fmt.Errorf("read backup: %s names no %s: use another copy", filepath.Join(dir, manifestFile), database)
	}
	for _, want := range m.Files {
		// A restore only writes what a backup may hold: no path, no lock, no log.
		if want.Name != database && (want.Name != filepath.Base(want.Name) || filepath.Ext(want.Name) != keyExt) {
			return nil, fmt.Errorf("read backup: %s names %q, which is not part of a backup: use another copy", filepath.Join(dir, manifestFile), want.Name)
		}
		got, err := describe(dir, want.Name)
		if err != nil {
			return nil, fmt.Errorf("read backup: %w", err)
		}
		if got != want {
			return nil, fmt.Errorf("read backup: %s is not what was backed up (%d bytes, %d expected, or other contents): the copy is damaged, use another one", filepath.Join(dir, want.Name), got.Size, want.Size)
		}
	}
	if m.Store == storeSQLite {
		if _, err := sqlite.Inspect(ctx, filepath.Join(dir, sqlite.FileName)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// describe reads a file for its size and digest.
func describe(dir, name string) (File, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return File{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// copyFile copies src to dst, a new file for its owner only, and syncs it.
func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
