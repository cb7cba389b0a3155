package catalog

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
)

// TestEdgeUserNamespace asks for the owners of files where users are not mapped.
func TestEdgeUserNamespace(t *testing.T) {
	edges.Need(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "whose")
	exe, err := os.Executable()
	check(t, err)
	text, err := os.ReadFile(exe)
	check(t, err)
	check(t, os.WriteFile(program, text, 0o755))
	own, theirs := filepath.Join(dir, "own"), filepath.Join(dir, "theirs")
	for _, path := range []string{own, theirs} {
		check(t, os.WriteFile(path, nil, 0o755))
	}
	check(t, os.Chown(theirs, 12345, -1))
	one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	nobody := []syscall.SysProcIDMap{{ContainerID: 65534, HostID: 0, Size: 1}}
	for _, tt := range []struct {
		name, path string
		users      []syscall.SysProcIDMap
		want       string
	}{
		{"nothing is mapped, its own file", own, nil, "no user is mapped"},
		{"nothing is mapped, a file of others", theirs, nil, "no user is mapped"},
		{"one user, its own file", own, one, "trusted: true"},
		{"one user, a file of others", theirs, one, "its owner is not mapped in this user namespace (/proc/self/uid_map): chown does not help"},
		{"nobody alone, its own file", own, nobody, "trusted: true"},
		{"nobody alone, a file of others", theirs, nobody, "its owner is not mapped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(program, tt.path)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: tt.users}
			text, err := cmd.CombinedOutput()
			if err != nil && len(text) == 0 {
				t.Skip("no user namespaces here:", err)
			}
			if !strings.Contains(string(text), tt.want) || strings.Contains(tt.want, "mapped") == strings.Contains(string(text), "trusted: true") {
				t.Errorf("got %s, want %q", text, tt.want)
			}
			if strings.Contains(tt.want, "mapped") && !strings.Contains(string(text), "HOOKSWITCH_PLUGIN_TRUST=signed") {
				t.Errorf("it is not said what can be done: %s", text)
			}
		})
	}
}
