package plugincheck

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// TestEdgeNoexec checks plugins for a data directory where nothing may be run.
func TestEdgeNoexec(t *testing.T) {
	edges.Need(t)
	data := filepath.Join(t.TempDir(), "data")
	check(t, os.Mkdir(data, 0o700))
	if err := syscall.Mount("tmpfs", data, "tmpfs", syscall.MS_NOEXEC, "size=256m"); err != nil {
		t.Skip("needs the right to mount:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	state, good := filepath.Join(data, "plugins"), filepath.Join(t.TempDir(), "good")
	check(t, os.Mkdir(state, 0o700))
	plugins.Put(t, good)
	for _, dir := range []string{state, filepath.Join(data, "not", "yet")} {
		cfg := probeConfig()
		cfg.StateDir = dir
		if p := probe(t, good, cfg).Problem; p == nil || !strings.Contains(p.What, "noexec") || !strings.Contains(p.Fix, "HOOKSWITCH_DATA_DIR") {
			t.Errorf("plugins check says %+v", p)
		}
	}
	// A program that a manifest names is not copied; one in the folder has the
	// same trouble there.
	plugins.Put(t, filepath.Join(data, "lines"))
	check(t, os.WriteFile(filepath.Join(data, "there"+catalog.ManifestSuffix), []byte(`{"protocol":"jsonl","command":["lines"],"events":["*"]}`), 0o644))
	if p := probe(t, filepath.Join(data, "there"+catalog.ManifestSuffix), probeConfig()).Problem; p == nil || !strings.Contains(p.What, "noexec") || !strings.Contains(p.Fix, "elsewhere") {
		t.Errorf("of a manifest plugins check says %+v", p)
	}
}
