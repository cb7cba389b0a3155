//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"fmt"
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

func TestNewRefusesWhatCannotWork(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"no run directory", Config{Dir: dir}, "set RunDir"},
		{"a run directory with a path too long for sockets", Config{Dir: dir, RunDir: "/" + strings.Repeat("x", 100)}, "choose a shorter one"},
		{"no state directory", Config{Dir: dir, RunDir: "/r"}, "set StateDir"},
		{"an environment variable with a value", Config{Env: []string{"A=b"}}, "names only"},
		{"an environment variable of the handshake", Config{Env: []string{"PLUGIN_CLIENT_CERT"}}, "part of the handshake"},
		{"the cookie", Config{Env: []string{"HOOKSWITCH_PLUGIN"}}, "part of the handshake"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRunDir(t *testing.T) {
	t.Run("the longest path that is allowed has room for a socket", func(t *testing.T) {
		base := shortDir(t)
		long := base + "/" + strings.Repeat("x", runDirMax()-len(base)-1)
		path, err := checkRunDir(long)
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
		if _, err := checkRunDir(long + "x"); err == nil {
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
		d, err := openRunDir(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if left := ls(t, path); !slices.Equal(left, []string{"lock", "mine"}) {
			t.Errorf("after the sweep: %q", left)
		}
		if _, err := openRunDir(path, nil); err == nil || !strings.Contains(err.Error(), "another sidecar") {
			t.Errorf("a second host: %v", err)
		}
		d.close()
		d, err = openRunDir(path, nil)
		if err != nil {
			t.Fatalf("after the first host: %v", err)
		}
		d.close()
	})
	t.Run("open to others is refused", func(t *testing.T) {
		path := t.TempDir()
		if err := os.Chmod(path, 0o750); err != nil {
			t.Fatal(err)
		}
		if _, err := openRunDir(path, nil); err == nil || !strings.Contains(err.Error(), "chmod 700 "+path) {
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

func TestSuspects(t *testing.T) {
	var s suspects
	for i := range suspectsMax + 10 {
		if got := s.crashed(fmt.Sprint(i), 1, false); got != 1 {
			t.Fatalf("event %d: %v", i, got)
		}
	}
	if len(s.events) > suspectsMax {
		t.Errorf("%d events are remembered", len(s.events))
	}
	s.crashed("mine", 1, false)
	s.crashed("mine", 2, false)
	if got := s.crashed("mine", 3, false); got != 3 {
		t.Errorf("the third crash in a row: %v", got)
	}
	if got := s.crashed("mine", 0, false); got != 1 {
		t.Errorf("an event that began anew: %v", got)
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
