//go:build unix

package process

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

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
