package adminapi

import (
	"net"
	"os"
)

// listenPrivately listens on a socket at path, in the place of what is there.
// Who may connect is said by the access list of the directory: a socket has no
// mode here, and may not be renamed.
func listenPrivately(path string) (net.Listener, error) {
	_ = os.Remove(path) // it may not be there
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // Socket.Close removes it, if it is still this one
	return l, nil
}
