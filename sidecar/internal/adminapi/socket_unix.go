//go:build unix

package adminapi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// listenPrivately listens on a socket at path, replacing what is there. A socket
// only gets its mode after it was created; until then its directory keeps others
// out.
func listenPrivately(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	private, err := os.MkdirTemp(dir, ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	if len(made) > maxSocketPath {
		return nil, fmt.Errorf("the path of %s is too long", dir)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it is renamed
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
