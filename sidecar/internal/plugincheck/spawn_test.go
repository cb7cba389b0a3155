//go:build unix

package plugincheck

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// A program that the system refuses to run is explained, with the fix, as by the host.
func TestProgramThatIsNotRunIsExplained(t *testing.T) {
	tests := []struct {
		name    string
		content []byte
		want    []string
	}{
		{"a text", []byte("print('hi')\n"), []string{"it is a text file that does not begin with #!", "begin it with a line such as #!/usr/bin/env python3"}},
		{"of another machine", plugins.Foreign(t), []string{"it was built for linux/", "build it with GOOS=" + runtime.GOOS + " GOARCH=" + runtime.GOARCH + " go build"}},
		{"without its interpreter", []byte("#!/does/not/exist\n"), []string{"its interpreter /does/not/exist does not exist", "install exist"}},
		{"from Windows", []byte("#!/bin/sh\r\nexit\r\n"), []string{"it has Windows line endings", "sed -i"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			check(t, os.WriteFile(filepath.Join(dir, "alone"), tt.content, 0o755))
			check(t, os.WriteFile(filepath.Join(dir, "part"), tt.content, 0o755))
			manifest := filepath.Join(dir, "declared"+catalog.ManifestSuffix)
			check(t, os.WriteFile(manifest, []byte(`{"protocol":"jsonl","command":["part"],"events":["*"]}`), 0o644))
			for _, path := range []string{filepath.Join(dir, "alone"), manifest} {
				p := probe(t, path, probeConfig()).Problem
				if p == nil || !strings.Contains(p.What, tt.want[0]) || !strings.Contains(p.Fix, tt.want[1]) {
					t.Errorf("%s: %+v", path, p)
				}
			}
		})
	}
}
