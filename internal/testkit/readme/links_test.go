//go:build unix

package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

// TestLinks follows the links between the pages of the repository.
func TestLinks(t *testing.T) {
	list := exec.Command("git", "ls-files", "*.md")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Skipf("not a clone of the repository: %v", err)
	}
	followed := 0
	for _, page := range strings.Fields(string(out)) {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			to := string(m[1])
			if strings.Contains(to, "://") {
				continue
			}
			followed++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), to)); err != nil {
				t.Errorf("%s links to %s, which is not there", page, to)
			}
		}
	}
	if followed == 0 {
		t.Error("no page links to another")
	}
}
