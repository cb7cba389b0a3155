package lint_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/internal/testkit/nobody"
	"github.com/hookswitch/hookswitch/sidecar/internal/lint"
)

const handler = "telnyx\nif t == 'message.delivered': pass\n"

// makeTree fills the current folder.
func makeTree(t *testing.T) {
	t.Helper()
	for name, text := range map[string]string{
		"app.py":                     handler,
		"lib/deep/app.rb":            handler,
		"node_modules/x/app.js":      handler,
		"lib/vendor/app.php":         handler,
		"myenv/pyvenv.cfg":           "",
		"myenv/app.py":               handler,
		"dist/app.js":                handler,
		".git/hooks/app.py":          handler,
		"logo.png":                   "\x89PNG\x00" + handler,
		"huge.py":                    handler + strings.Repeat("# more\n", 1<<20/7),
		"app.min.js":                 handler + strings.Repeat("x", 6000),
		"sample.json":                `{"message.delivered": 1}`,
		"noextension":                handler,
		"latin1.py":                  "# caf\xe9 telnyx\nif t == 'message.failed': pass\n",
		"empty.py":                   "",
		"app_test.py":                handler,
		"lib/spec/app.rb":            handler,
		"AppTest.php":                handler,
		"latest.rb":                  "",
		"lib/deep/without/files.txt": "",
	} {
		write(t, name, text)
	}
	for name, to := range map[string]string{"lib/loop": "..", "self": "self", "outside": "/", "lib/again.py": "../app.py"} {
		if err := os.Symlink(to, name); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
}

// TestWalk: what is not somebody's source is skipped, and said to be.
func TestWalk(t *testing.T) {
	t.Chdir(t.TempDir())
	makeTree(t)
	report, err := lint.Run(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range report.Findings {
		found = append(found, filepath.ToSlash(f.File))
	}
	if diff := cmp.Diff([]string{"app.py", "latin1.py", "lib/deep/app.rb", "noextension"}, found); diff != "" || report.Files != 6 {
		t.Errorf("%d files (-want +got):\n%s", report.Files, diff)
	}
	skipped := make(map[string]lint.Why)
	for _, s := range report.Skipped {
		skipped[filepath.ToSlash(s.Path)] = s.Why
	}
	want := map[string]lint.Why{
		"node_modules": lint.Vendored, "lib/vendor": lint.Vendored, "myenv": lint.Vendored, "dist": lint.Built, ".git": lint.Hidden,
		"logo.png": lint.Binary, "huge.py": lint.Huge, "app.min.js": lint.Minified, "sample.json": lint.Data, "lib/deep/without/files.txt": lint.Data,
		"app_test.py": lint.Test, "lib/spec/app.rb": lint.Test, "AppTest.php": lint.Test,
		"lib/loop": lint.Link, "self": lint.Link, "outside": lint.Link, "lib/again.py": lint.Link,
	}
	if diff := cmp.Diff(want, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

// TestNamedPaths are read, whatever they are called, or it is an error.
func TestNamedPaths(t *testing.T) {
	t.Chdir(t.TempDir())
	makeTree(t)
	for _, path := range []string{"node_modules", "lib/again.py", "lib/loop"} {
		if report, err := lint.Run(t.Context(), path); err != nil || len(report.Findings) == 0 {
			t.Errorf("%s: %+v, %v", path, report, err)
		}
	}
	if _, err := lint.Run(t.Context(), "missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing path: %v", err)
	}
	if _, err := lint.Run(t.Context(), "self"); err == nil {
		t.Error("a link to itself was read")
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := lint.Run(stopped, "."); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// TestUnreadable: what the system keeps from us is skipped, not clean.
func TestUnreadable(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file of Windows cannot be closed to its reader by permission bits")
	}
	if nobody.Runs(t) {
		return
	}
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "app.py"), filepath.Join(dir, "lib")
	write(t, file, handler)
	write(t, filepath.Join(folder, "app.py"), handler)
	write(t, filepath.Join(dir, "open.py"), handler)
	for _, path := range []string{file, folder} {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(folder, 0o700) }) // for what removes it
	report, err := lint.Run(t.Context(), dir)
	want := []lint.Skipped{{Path: file, Why: lint.Unreadable}, {Path: folder, Why: lint.Unreadable}}
	if err != nil || !slices.Equal(report.Skipped, want) || report.Files != 1 || len(report.Findings) != 1 {
		t.Errorf("%+v, %v", report, err)
	}

	// The named one is no different.
	report, err = lint.Run(t.Context(), folder)
	if err != nil || !slices.Equal(report.Skipped, want[1:]) || report.Files != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
