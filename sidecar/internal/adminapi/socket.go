package adminapi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// maxSocketPath is the length that fits into the address of a unix socket
// everywhere.
const maxSocketPath = 100

// ListenSocket listens on a unix socket that only this user can open. It replaces
// a socket that a process left behind, but not one that is answered.
func ListenSocket(path string) (*Socket, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("admin socket %s: the path has %d bytes, and the system allows about %d", path, len(path), maxSocketPath)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("admin socket %s is in use by another process", path)
	}
	l, err := listenPrivately(path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close())
	}
	return &Socket{Listener: l, path: path, info: info}, nil
}

// Socket is a listener on a unix socket.
type Socket struct {
	net.Listener
	path string
	info os.FileInfo // device and inode
}

// Addr implements [net.Listener].
func (s *Socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Present reports whether a connection to the path reaches this socket. If not,
// it was removed or replaced.
func (s *Socket) Present() bool {
	now, err := os.Lstat(s.path)
	return err == nil && os.SameFile(now, s.info)
}

// Close implements [net.Listener]. A socket that has taken the place of this one
// stays.
func (s *Socket) Close() error {
	present := s.Present()
	err := s.Listener.Close()
	if err == nil && present {
		_ = os.Remove(s.path)
	}
	return err
}
