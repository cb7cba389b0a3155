package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// disk opens real files that fail on demand, and records what is done to them.
type disk struct {
	mu     sync.Mutex
	ops    []string
	fault  *fault
	onSync func() // called before a sync, by the archive's writer only
}

// fault says which operation fails, and how much of it happens nevertheless.
type fault struct {
	op       string // "write" or "sync"
	lands    int    // bytes of a write that reach the file
	alsoOpen bool   // the file cannot be opened either
	err      error
}

func faulty(t *testing.T, maxSize int64) (*archive, *disk) {
	t.Helper()
	d := new(disk)
	a := &archive{dir: t.TempDir(), maxSize: maxSize, open: d.open}
	must(t, a.start())
	t.Cleanup(func() { _ = a.close() })
	return a, d
}

func (d *disk) open(path string) (logFile, int64, error) {
	d.note("open")
	if f := d.get(); f != nil && f.alsoOpen {
		return nil, 0, f.err
	}
	f, size, err := openLog(path)
	if err != nil {
		return nil, 0, err
	}
	return &faultyFile{d, f}, size, nil
}

func (d *disk) set(f *fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

func (d *disk) get() *fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault
}

func (d *disk) note(op string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops = append(d.ops, op)
}

func (d *disk) trace() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.ops, " ")
}

type faultyFile struct {
	disk *disk
	logFile
}

func (f *faultyFile) Write(p []byte) (int, error) {
	f.disk.note("write")
	if fault := f.disk.get(); fault != nil && fault.op == "write" {
		n, _ := f.logFile.Write(p[:min(fault.lands, len(p))])
		return n, fault.err
	}
	return f.logFile.Write(p)
}

func (f *faultyFile) Sync() error {
	f.disk.note("sync")
	if f.disk.onSync != nil {
		f.disk.onSync()
	}
	if fault := f.disk.get(); fault != nil && fault.op == "sync" {
		return fault.err
	}
	return f.logFile.Sync()
}

func open(t *testing.T, dir string, maxSize int64) *archive {
	t.Helper()
	a, err := openArchive(dir, maxSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.close() })
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// files returns the names of the archive's files, oldest first.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != activeName {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return append(names, activeName)
}

// split returns the lines of a file.
func split(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

// records returns all lines of all files, oldest first.
func records(t *testing.T, dir string) []record {
	t.Helper()
	var all []record
	for _, name := range files(t, dir) {
		for _, line := range split(t, filepath.Join(dir, name)) {
			var r record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			all = append(all, r)
		}
	}
	return all
}
