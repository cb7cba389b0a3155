//go:build unix

package process

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRunDir(t *testing.T) {
	t.Run("the longest path that is allowed has room for a socket", func(t *testing.T) {
		base := shortDir(t)
		long := base + "/" + strings.Repeat("x", runDirMax()-len(base)-1)
		path, err := CheckRunDir(long)
		if err != nil {
			t.Fatal(err)
		}
		socket := filepath.Join(path, socketDirPrefix+"4294967295", "plugin4294967295")
		if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, err := CheckRunDir(long + "x"); err == nil {
			t.Error("a longer path is allowed")
		}
	})
	t.Run("made private, used by one host, and swept", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "run")
		stale := filepath.Join(path, socketDirPrefix+"123")
		other := filepath.Join(path, "mine")
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{stale, other} {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		d, err := OpenRunDir(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		left, _ := filepath.Glob(filepath.Join(path, "*"))
		if !slices.Equal(left, []string{filepath.Join(path, "lock"), other}) {
			t.Errorf("after the sweep: %q", left)
		}
		if _, err := OpenRunDir(path, nil); err == nil || !strings.Contains(err.Error(), "another sidecar") {
			t.Errorf("a second host: %v", err)
		}
		d.Close()
		d, err = OpenRunDir(path, nil)
		if err != nil {
			t.Fatalf("after the first host: %v", err)
		}
		d.Close()
	})
	t.Run("open to others is refused", func(t *testing.T) {
		path := t.TempDir()
		if err := os.Chmod(path, 0o750); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenRunDir(path, nil); err == nil || !strings.Contains(err.Error(), "chmod 700 "+path) {
			t.Errorf("got %v", err)
		}
	})
}

// shortDir returns a directory whose path is short enough for sockets, which
// that of t.TempDir is not.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
