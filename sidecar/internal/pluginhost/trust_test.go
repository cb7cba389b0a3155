//go:build unix

package pluginhost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// The program of a manifest is in the directory, so a list of digests is not enough:
// anybody who may write there could change it after the check.
func TestManifestNeedsAPrivateDirectory(t *testing.T) {
	sums := filepath.Join(t.TempDir(), "SHA256SUMS")
	s := newSetup(t, func(c *Config) {
		c.Watch = true
		writeManifest(t, c, "lines", `{"protocol":"jsonl","command":["lines"],"events":["*"]}`)
		plugins.Put(t, filepath.Join(c.Dir, "lines"))
		list := ""
		for _, name := range []string{"lines", "lines" + catalog.ManifestSuffix} {
			sum, err := fileDigest(filepath.Join(c.Dir, name))
			check(t, err)
			list += sum + "  " + name + "\n"
		}
		check(t, os.WriteFile(sums, []byte(list), 0o644))
		c.Trust = catalog.Trust{Mode: catalog.TrustPinned, Sums: sums}
		check(t, os.Chmod(c.Dir, 0o777))
	})
	s.fixDirectory(t, "lines")
}

// fixDirectory starts a plugin whose directory others may write to, and fixes that
// with the command of the refusal.
func (s *setup) fixDirectory(t *testing.T, name string) {
	t.Helper()
	s.timings.stable, s.timings.lookAgain = 50*time.Millisecond, 20*time.Millisecond
	s.start(t)
	p := s.plugin(t, name)
	if st := p.Status(); st.State != StateFailed || !strings.Contains(st.LastError, "chmod go-w "+s.dir) {
		t.Fatalf("status %+v", st)
	}
	check(t, os.Chmod(s.dir, 0o755))
	awaitStatus(t, p, "fixed", func(st Status) bool { return st.State == StateReady })
}

// A refused plugin starts after the command of the refusal was run.
func TestRefusedPluginStartsWhenItIsFixed(t *testing.T) {
	s := newSetup(t, func(c *Config) {
		c.Watch = true
		check(t, os.Chmod(c.Dir, 0o777))
	}, "good")
	s.fixDirectory(t, "good")
}

func TestPluginsComeChangeSettingsAndGo(t *testing.T) {
	s := newSetup(t, func(c *Config) { c.Watch = true })
	s.timings.stable, s.timings.lookAgain, s.timings.goneGrace = 50*time.Millisecond, 20*time.Millisecond, 200*time.Millisecond
	s.start(t)
	plugins.Put(t, filepath.Join(s.dir, "fussy"))
	s.log.wait(t, 1, "plugin is down", "state=failed") // without settings
	p := s.plugin(t, "fussy")
	check(t, os.WriteFile(filepath.Join(s.dir, "fussy.json"), []byte(`{"dsn":"x"}`), 0o600))
	st := awaitStatus(t, p, "settings", func(st Status) bool { return st.State == StateReady })
	check(t, os.WriteFile(filepath.Join(s.dir, "fussy.json"), []byte(`{}`), 0o600))
	failed := awaitStatus(t, p, "bad settings", func(st Status) bool { return st.Update != nil })
	if failed.PID != st.PID || failed.State != StateReady {
		t.Errorf("bad settings: %+v, was %+v", failed, st)
	}
	check(t, os.Remove(filepath.Join(s.dir, "fussy")))
	awaitStatus(t, p, "removed", func(st Status) bool { return st.State == StateStopped })
	if n := len(s.Plugins()); n != 0 {
		t.Errorf("%d plugins are left", n)
	}
}
