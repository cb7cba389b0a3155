package faultvfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// sector is the unit that a disk writes as a whole.
const sector = 512

// file is the disk's state of a file: what was synced, and what was done
// since.
type file struct {
	synced  []byte
	exists  bool // its name was synced with it
	pending []change
}

// change is a write, or with nil data a truncate.
type change struct {
	off  int64
	data []byte
}

func (f *file) write(off int64, data []byte) { f.pending = append(f.pending, change{off, data}) }
func (f *file) truncate(size int64)          { f.pending = append(f.pending, change{off: size}) }

func (f *file) sync() {
	for _, c := range f.pending {
		f.synced = c.apply(f.synced)
	}
	f.pending, f.exists = nil, true
}

func (c change) apply(to []byte) []byte {
	if c.data == nil {
		if int64(len(to)) > c.off {
			return to[:c.off]
		}
		return append(to, make([]byte, c.off-int64(len(to)))...)
	}
	if end := int(c.off) + len(c.data); end > len(to) {
		to = append(to, make([]byte, end-len(to))...)
	}
	copy(to[c.off:], c.data)
	return to
}

// Record makes the layer remember what a disk would hold. It is called before
// the first database is opened, whose files are empty or not there.
func (v *VFS) Record() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.disk = make(map[string]*file)
}

// record reports whether the layer records.
func (v *VFS) record(path string, change func(*file)) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.disk == nil {
		return false
	}
	f := v.disk[path]
	if f == nil {
		f = new(file)
		v.disk[path] = f
	}
	change(f)
	return true
}

// CutAt cuts the power before operation n. The database does not notice: what
// it does after that does not reach the disk.
func (v *VFS) CutAt(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cutAt = n
}

// CutNow cuts the power now, unless that has happened already.
func (v *VFS) CutNow() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.frozen == nil {
		v.frozen = v.image()
	}
}

// Cut returns the disk as it was when the power was cut, and nil before that.
func (v *VFS) Cut() *Disk {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.frozen
}

// image copies the state of the disk. The caller holds mu.
func (v *VFS) image() *Disk {
	d := &Disk{files: make(map[string]*file)}
	for path, f := range v.disk {
		d.files[path] = &file{synced: slices.Clone(f.synced), exists: f.exists, pending: slices.Clone(f.pending)}
	}
	return d
}

// Disk is the state left by a power cut.
type Disk struct{ files map[string]*file }

// Restore writes the files that the disk holds into dir: what was synced, and
// of what was not, sectors as they happen to have been written, each or not.
func (d *Disk) Restore(dir string, random *rand.Rand) error {
	for _, path := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[path]
		content := f.synced
		for _, c := range f.pending {
			content = c.some(content, random)
		}
		if !f.exists && len(content) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), content, 0o600); err != nil {
			return fmt.Errorf("faultvfs: %w", err)
		}
	}
	return nil
}

// Reboot puts the files back in their places as [Disk.Restore] would leave them,
// and records from there. No file is open.
func (v *VFS) Reboot(d *Disk, random *rand.Rand) error {
	for _, path := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[path]
		for _, c := range f.pending {
			f.synced = c.some(f.synced, random)
		}
		f.pending, f.exists = nil, f.exists || len(f.synced) > 0
	}
	return v.Resume(d)
}

// Resume puts the files back in their places as the system showed them at the
// cut, which then was not one of the power: only the process was killed. What was
// not synced may still be lost by the next cut. No file is open.
func (v *VFS) Resume(d *Disk) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for path := range v.disk {
		for _, name := range []string{path, path + "-shm"} {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("faultvfs: %w", err)
			}
		}
	}
	v.disk, v.frozen, v.cutAt = d.files, nil, 0
	for path, f := range d.files {
		content := slices.Clone(f.synced)
		for _, c := range f.pending {
			content = c.apply(content)
		}
		if !f.exists && len(content) == 0 {
			continue
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("faultvfs: %w", err)
		}
	}
	return nil
}

// some applies a random part of a change.
func (c change) some(to []byte, random *rand.Rand) []byte {
	if c.data == nil {
		if random.IntN(2) == 0 {
			return to
		}
		return c.apply(to)
	}
	for from := 0; from < len(c.data); {
		// Up to the end of the sector.
		n := min(sector-int(c.off+int64(from))%sector, len(c.data)-from)
		if random.IntN(2) == 0 {
			to = change{c.off + int64(from), c.data[from : from+n]}.apply(to)
		}
		from += n
	}
	return to
}
