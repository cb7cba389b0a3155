package faultvfs

import (
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// How Go that was translated from C sees memory and functions: a function is
// a pointer to a Go func value.

func alloc(tls *libc.TLS, size uintptr) uintptr {
	p := libc.Xcalloc(tls, 1, libc.Tsize_t(size))
	if p == 0 {
		panic("faultvfs: out of memory")
	}
	return p
}

//go:nocheckptr
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

func vfsAt(p uintptr) *sqlite3.Tsqlite3_vfs            { return (*sqlite3.Tsqlite3_vfs)(at(p)) }
func fileAt(p uintptr) *sqlite3.Tsqlite3_file          { return (*sqlite3.Tsqlite3_file)(at(p)) }
func methodsAt(p uintptr) *sqlite3.Tsqlite3_io_methods { return (*sqlite3.Tsqlite3_io_methods)(at(p)) }

func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) }

func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&struct{ p uintptr }{p})) }

func call5(p uintptr) func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32 {
	return function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](p)
}

func call0(p uintptr) func(*libc.TLS, uintptr) int32 {
	return function[func(*libc.TLS, uintptr) int32](p)
}

func callWrite(p uintptr) func(*libc.TLS, uintptr, uintptr, int32, int64) int32 {
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](p)
}

func callTruncate(p uintptr) func(*libc.TLS, uintptr, int64) int32 {
	return function[func(*libc.TLS, uintptr, int64) int32](p)
}

func callSync(p uintptr) func(*libc.TLS, uintptr, int32) int32 {
	return function[func(*libc.TLS, uintptr, int32) int32](p)
}

func callDelete(p uintptr) func(*libc.TLS, uintptr, uintptr, int32) int32 {
	return function[func(*libc.TLS, uintptr, uintptr, int32) int32](p)
}
