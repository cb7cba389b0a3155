//go:build unix

package readme

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var program = regexp.MustCompile("(?s)```(go|js|python)\n(.*?)```")

// TestMigrating compiles the Go programs of MIGRATING.md, and has Node and
// Python, where they are installed, check the others for their syntax.
func TestMigrating(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "middleware/MIGRATING.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	counted := make(map[string]int)
	for i, m := range program.FindAllSubmatch(page, -1) {
		language := string(m[1])
		counted[language]++
		t.Run(fmt.Sprintf("%s %d", language, i+1), func(t *testing.T) {
			file := filepath.Join(dir, fmt.Sprintf("%d.%s", i, map[string]string{"go": "go", "js": "mjs", "python": "py"}[language]))
			if err := os.WriteFile(file, m[2], 0o600); err != nil {
				t.Fatal(err)
			}
			checkProgram(t, language, file)
		})
	}
	for language, want := range map[string]int{"go": 3, "js": 1, "python": 1} {
		if counted[language] != want {
			t.Errorf("MIGRATING.md has %d programs in %s, want %d", counted[language], language, want)
		}
	}
}

func checkProgram(t *testing.T, language, file string) {
	t.Helper()
	var cmd *exec.Cmd
	switch language {
	case "go":
		// As a package of this module that exists for this command only.
		at := filepath.Join(abs(t, root), "internal/testkit/readme/program", "main.go")
		overlay, err := json.Marshal(map[string]map[string]string{"Replace": {at: file}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+".json", overlay, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command("go", "build", "-overlay", file+".json", "-o", os.DevNull, "./internal/testkit/readme/program")
		cmd.Dir = root
		if out, err := exec.Command("gofmt", "-l", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("it is not formatted: %v %s", err, out)
		}
	case "js":
		cmd = exec.Command("node", "--check", file)
	case "python":
		cmd = exec.Command("python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())", file)
	}
	if _, err := exec.LookPath(cmd.Args[0]); err != nil {
		t.Skipf("%s is not installed", cmd.Args[0])
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
}
