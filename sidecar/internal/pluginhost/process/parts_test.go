//go:build unix

package process

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
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

func TestPluginToHost(t *testing.T) {
	dir := shortDir(t)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("s", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	r := &runner{socket: dir}
	tests := []struct {
		network, address string
		ok               bool
	}{
		{"unix", filepath.Join(dir, "s"), true},
		{"unix", dir + "/./s", true},
		{"unix", filepath.Join(dir, "link"), false},
		{"unix", filepath.Join(dir, "file"), false},
		{"unix", filepath.Join(dir, "missing"), false},
		{"unix", dir + "/../" + filepath.Base(dir) + "x/s", false},
		{"unix", "s", false},
		{"unix", "", false},
		{"tcp", "127.0.0.1:1234", true},
		{"tcp", "[::1]:1234", true},
		{"tcp", "127.0.0.1:0", false},
		{"tcp", "localhost:1234", false},
		{"tcp", "10.0.0.1:1234", false},
		{"udp", "127.0.0.1:1234", false},
	}
	for _, tt := range tests {
		if _, _, err := r.PluginToHost(tt.network, tt.address); (err == nil) != tt.ok {
			t.Errorf("%s %s: got %v", tt.network, tt.address, err)
		}
	}
}

func TestCutFields(t *testing.T) {
	for line, want := range map[string]string{
		"1|1|unix|/s|grpc":           "1|1|unix|/s|grpc",
		"1|1|unix|/s|grpc|\r":        "1|1|unix|/s|grpc",
		"1|1|unix|/s|grpc|CERT|true": "1|1|unix|/s|grpc",
		"1|1|unix|/s":                "1|1|unix|/s",
	} {
		if got := cutFields(line); got != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}

func TestBusyExecutableIsTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r := newRunner(path, "", nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.spawn(ctx, null, null, null); !errors.Is(err, syscall.ETXTBSY) {
		t.Errorf("while the file is open for writing: %v", err)
	}
	time.AfterFunc(busyWait/2, func() { writer.Close() })
	cmd, err := r.spawn(t.Context(), null, null, null)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
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
