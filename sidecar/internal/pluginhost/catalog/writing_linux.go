package catalog

import (
	"os"

	"golang.org/x/sys/unix"
)

// openForWriting reports whether a process has the file open for writing: the kernel
// grants a read lease only if none has. It cannot tell for files of other users,
// nor on some network file systems.
func openForWriting(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return err == unix.EAGAIN
}
