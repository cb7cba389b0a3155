package pluginhost

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
)

// TestEdgeNoexec runs a plugin from a data directory where nothing may be run.
func TestEdgeNoexec(t *testing.T) {
	edges.Need(t)
	data := filepath.Join(t.TempDir(), "data")
	check(t, os.Mkdir(data, 0o700))
	if err := syscall.Mount("tmpfs", data, "tmpfs", syscall.MS_NOEXEC, "size=256m"); err != nil {
		t.Skip("needs the right to mount:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	state := filepath.Join(data, "plugins")
	s := newSetup(t, func(c *Config) { c.StateDir = state }, "good")
	s.start(t)
	st := s.plugin(t, "good").Status()
	for _, want := range []string{"is mounted noexec", "findmnt -T " + state, "HOOKSWITCH_DATA_DIR"} {
		if !strings.Contains(st.LastError, want) {
			t.Errorf("last error %q: want %q", st.LastError, want)
		}
	}
	if st.State != StateFailed {
		t.Errorf("status %+v", st)
	}
	s.log.wait(t, 1, "ERROR plugin is down", "is mounted noexec")
}
