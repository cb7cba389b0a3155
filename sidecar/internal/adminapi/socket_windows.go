package adminapi

import (
	"net"
	"os"
)

// listenPrivately listens on a socket at path, replacing what is there. The access
// list of the directory says who may connect: a socket has no mode here. Whether
// one can be renamed is not documented, so it is not.
func listenPrivately(path string) (net.Listener, error) {
	_ = os.Remove(path) // it may not be there
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // Socket.Close removes it, if it is still this one
	return l, nil
}
