//go:build unix

package pluginhost

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
)

// A program that the system refuses to run is explained, with the fix, where its
// operator looks: in the log and the status. Package plugincheck tests the text of
// "plugins check".
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
			s := newSetup(t, func(c *Config) {
				check(t, os.WriteFile(filepath.Join(c.Dir, "alone"), tt.content, 0o755))
				check(t, os.WriteFile(filepath.Join(c.Dir, "part"), tt.content, 0o755))
				writeManifest(t, c, "declared", `{"protocol":"jsonl","command":["part"],"events":["*"]}`)
			})
			s.start(t)
			for _, name := range []string{"alone", "declared"} {
				st := s.plugin(t, name).Status()
				line := s.log.wait(t, 1, "ERROR plugin is down", "plugin="+name)
				for _, want := range tt.want {
					if !strings.Contains(st.LastError, want) || !strings.Contains(line, want) {
						t.Errorf("%s: last error %q, log %q: want %q", name, st.LastError, line, want)
					}
				}
				if n := strings.Count(st.LastError, "no such file or directory"); n > 1 {
					t.Errorf("%s: it says %d times that something is not there: %s", name, n, st.LastError)
				}
				if strings.Contains(st.LastError, s.cfg.StateDir) {
					t.Errorf("%s: it speaks of the private copy: %s", name, st.LastError)
				}
			}
		})
	}
}
