// Package faultvfs is a layer below SQLite, for tests: it sits between
// SQLite and the operating system and can make a write, a sync or a truncate
// fail, slow down syncs, and say what a disk would hold after a power cut.
//
// [New] registers a layer; a database is opened on it by its [VFS.Name]
// (sqlite.Config.VFS). The real file system is used throughout, so that
// everything SQLite does, shared memory and locks included, is the real thing;
// only syncs stay in the layer while it records what a disk would hold.
package faultvfs

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Kind is the kind of an operation on a file.
type Kind int

// The operations that count.
const (
	Write Kind = iota
	Truncate
	Sync
)

// Fault is the fate of an operation.
type Fault int

// The faults.
const (
	None   Fault = iota
	Lost         // it is not done, and reported as failed
	Landed       // it is done, and reported as failed
	Half         // the first half of a write is done, and it is reported as failed; else as Lost
	Full         // there is no room on the disk: it is not done
)

// VFS is a layer. It is safe for concurrent use.
type VFS struct {
	name string
	orig uintptr // sqlite3_vfs that does the work

	// Decide is called before each operation, with its number, from 1, and the
	// path of its file. nil lets everything pass. It is set before the first
	// database is opened.
	Decide func(n int64, kind Kind, path string) Fault

	slow atomic.Int64 // nanoseconds that a sync takes longer
	ops  atomic.Int64
	sync atomic.Int64

	mu     sync.Mutex
	files  map[uintptr]string // guarded by mu: paths by sqlite3_file
	disk   map[string]*file   // guarded by mu, nil unless recorded: by path
	frozen *Disk              // guarded by mu
	cutAt  int64              // guarded by mu: the operation before which the power is cut; 0 for never
}

// layers are those that were registered. SQLite calls functions, not methods:
// they find the layer by the sqlite3_vfs or the sqlite3_file that they are
// given.
var layers struct {
	sync.Mutex
	made   int
	byVFS  map[uintptr]*VFS
	byFile map[uintptr]*VFS
	real   map[uintptr]uintptr // io_methods of the operating system, by sqlite3_file
	tables map[uintptr]uintptr // our io_methods, by theirs
}

// New registers a layer, for the life of the program.
func New() *VFS {
	tls := libc.NewTLS()
	defer tls.Close()
	layers.Lock()
	defer layers.Unlock()
	if layers.byVFS == nil {
		layers.byVFS, layers.byFile = make(map[uintptr]*VFS), make(map[uintptr]*VFS)
		layers.real, layers.tables = make(map[uintptr]uintptr), make(map[uintptr]uintptr)
	}
	layers.made++
	v := &VFS{name: fmt.Sprintf("fault%d", layers.made), files: make(map[uintptr]string)}
	sqlite3.Xsqlite3_initialize(tls)
	v.orig = sqlite3.Xsqlite3_vfs_find(tls, 0)
	own := alloc(tls, unsafe.Sizeof(sqlite3.Tsqlite3_vfs{}))
	*vfsAt(own) = *vfsAt(v.orig)
	name, err := libc.CString(v.name)
	if err != nil {
		panic(err)
	}
	vfsAt(own).FzName, vfsAt(own).FpNext = name, 0
	vfsAt(own).FxOpen = pointer(open)
	vfsAt(own).FxDelete = pointer(deleteFile)
	layers.byVFS[own] = v
	if rc := sqlite3.Xsqlite3_vfs_register(tls, own, 0); rc != sqlite3.SQLITE_OK {
		panic(fmt.Sprintf("faultvfs: register: %d", rc))
	}
	return v
}

// Name is the layer's name in a data source name: vfs=Name.
func (v *VFS) Name() string { return v.name }

// Slow makes every sync take longer by d, as on a disk across a network.
func (v *VFS) Slow(d time.Duration) { v.slow.Store(int64(d)) }

// Ops returns the number of operations so far.
func (v *VFS) Ops() int64 { return v.ops.Load() }

// Syncs returns the number of syncs so far.
func (v *VFS) Syncs() int64 { return v.sync.Load() }

// begin counts an operation and decides what happens to it. record is called
// unless the operation is lost.
func (v *VFS) begin(pFile uintptr, kind Kind) (Fault, string) {
	n := v.ops.Add(1)
	if kind == Sync {
		v.sync.Add(1)
		if d := v.slow.Load(); d > 0 {
			<-time.After(time.Duration(d)) // the disk is what is slow
		}
	}
	v.mu.Lock()
	path := v.files[pFile]
	if v.cutAt > 0 && n >= v.cutAt && v.frozen == nil {
		v.frozen = v.image()
	}
	v.mu.Unlock()
	if v.Decide == nil {
		return None, path
	}
	return v.Decide(n, kind, path), path
}

// The functions below are called by SQLite.

func open(tls *libc.TLS, pVFS, zName, pFile uintptr, flags int32, pOut uintptr) int32 {
	layers.Lock()
	v := layers.byVFS[pVFS]
	layers.Unlock()
	rc := call5(vfsAt(v.orig).FxOpen)(tls, v.orig, zName, pFile, flags, pOut)
	methods := fileAt(pFile).FpMethods
	if rc != sqlite3.SQLITE_OK || methods == 0 || zName == 0 {
		return rc
	}
	layers.Lock()
	defer layers.Unlock()
	table, ok := layers.tables[methods]
	if !ok {
		table = alloc(tls, unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{}))
		*methodsAt(table) = *methodsAt(methods)
		methodsAt(table).FxClose = pointer(closeFile)
		methodsAt(table).FxWrite = pointer(write)
		methodsAt(table).FxTruncate = pointer(truncate)
		methodsAt(table).FxSync = pointer(syncFile)
		layers.tables[methods] = table
	}
	layers.byFile[pFile], layers.real[pFile] = v, methods
	fileAt(pFile).FpMethods = table
	v.mu.Lock()
	v.files[pFile] = libc.GoString(zName)
	v.mu.Unlock()
	return rc
}

func deleteFile(tls *libc.TLS, pVFS, zName uintptr, syncDir int32) int32 {
	layers.Lock()
	v := layers.byVFS[pVFS]
	layers.Unlock()
	v.mu.Lock()
	delete(v.disk, libc.GoString(zName))
	v.mu.Unlock()
	return callDelete(vfsAt(v.orig).FxDelete)(tls, v.orig, zName, syncDir)
}

func of(pFile uintptr) (*VFS, *sqlite3.Tsqlite3_io_methods) {
	layers.Lock()
	defer layers.Unlock()
	return layers.byFile[pFile], methodsAt(layers.real[pFile])
}

func closeFile(tls *libc.TLS, pFile uintptr) int32 {
	v, real := of(pFile)
	layers.Lock()
	methods := layers.real[pFile]
	delete(layers.byFile, pFile)
	delete(layers.real, pFile)
	layers.Unlock()
	v.mu.Lock()
	delete(v.files, pFile)
	v.mu.Unlock()
	fileAt(pFile).FpMethods = methods
	return call0(real.FxClose)(tls, pFile)
}

func write(tls *libc.TLS, pFile, buf uintptr, n int32, off int64) int32 {
	v, real := of(pFile)
	fault, path := v.begin(pFile, Write)
	switch fault {
	case Lost:
		return sqlite3.SQLITE_IOERR_WRITE
	case Full:
		return sqlite3.SQLITE_FULL
	case Half:
		n /= 2
	}
	data := append([]byte(nil), unsafe.Slice((*byte)(at(buf)), n)...)
	v.record(path, func(f *file) { f.write(off, data) })
	rc := callWrite(real.FxWrite)(tls, pFile, buf, n, off)
	if fault != None {
		return sqlite3.SQLITE_IOERR_WRITE
	}
	return rc
}

func truncate(tls *libc.TLS, pFile uintptr, size int64) int32 {
	v, real := of(pFile)
	fault, path := v.begin(pFile, Truncate)
	if fault != None && fault != Landed {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	v.record(path, func(f *file) { f.truncate(size) })
	rc := callTruncate(real.FxTruncate)(tls, pFile, size)
	if fault != None {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	return rc
}

func syncFile(tls *libc.TLS, pFile uintptr, flags int32) int32 {
	v, real := of(pFile)
	fault, path := v.begin(pFile, Sync)
	if fault != None && fault != Landed {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	rc := int32(sqlite3.SQLITE_OK)
	if !v.record(path, (*file).sync) {
		rc = callSync(real.FxSync)(tls, pFile, flags)
	}
	if fault != None {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	return rc
}
