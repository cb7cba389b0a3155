package instance

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunDirLeavesRoomForSockets(t *testing.T) {
	long := "/" + strings.Repeat("x", 90)
	if got := RunDir("/var/lib/hookswitch"); got != "/var/lib/hookswitch/run" {
		t.Errorf("short path: %s", got)
	}
	if got := RunDir(long); len(got) > maxRunDir || got != RunDir(long) || got == RunDir(long+"y") {
		t.Errorf("long path: %s, want a short one of its own, always the same", got)
	}
	t.Setenv("TMPDIR", long)
	if got := RunDir(long); filepath.Dir(got) != "/tmp" {
		t.Errorf("long path for temporary files as well: %s", got)
	}
}

func TestBaseURL(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:9080": "http://127.0.0.1:9080",
		"0.0.0.0:8080":   "http://localhost:8080",
		"[::]:8080":      "http://localhost:8080",
		"[::1]:8080":     "http://[::1]:8080",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := BaseURL(tcp); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
