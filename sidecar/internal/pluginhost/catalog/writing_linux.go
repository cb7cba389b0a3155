package catalog

import (
	"os"

	"golang.org/x/sys/unix"
)

// openForWriting reports whether a process has the file open for writing. The
// kernel grants a read lease only if nobody has. It is not known of files of
// other users, and on some network file systems.
func openForWriting(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return err == unix.EAGAIN
}
