//go:build unix

package pluginhost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
