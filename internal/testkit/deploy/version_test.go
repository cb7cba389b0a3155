package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPackagesSort: a package of a later commit is a later version, for dpkg, with and
// without releases among them.
func TestPackagesSort(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("needs dpkg to compare versions:", err)
	}
	script, err := filepath.Abs(filepath.Join(root, ".ci/package-version"))
	if err != nil {
		t.Fatal(err)
	}
	repo := t.TempDir()
	git := func(at int, args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"}, args...)...)
		date := fmt.Sprintf("@%d +0200", time.Date(2026, 11, 27, 22, 30, 0, 0, time.UTC).Add(time.Duration(at)*time.Hour).Unix())
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE="+date, "GIT_AUTHOR_DATE="+date, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	var versions []string
	note := func() {
		cmd := exec.Command(script, git(0, "describe", "--tags", "--always", "--dirty"))
		cmd.Dir, cmd.Env = repo, append(os.Environ(), "TZ=Asia/Tokyo")
		versions = append(versions, strings.TrimSpace(command(t, cmd)))
	}
	hour := 0
	commit := func() {
		hour++
		git(hour, "commit", "-q", "--allow-empty", "-m", "change")
		note()
	}
	git(0, "init", "-q", "-b", "main")
	for range 4 { // all on one day, and their hashes in any order
		commit()
	}
	for _, tag := range []string{"v0.1.0-rc.1", "v0.1.0-rc.2", "v0.1.0", "v0.1.1", "v0.2.0", "v0.10.0", "v1.0.0"} {
		hour++
		git(hour, "commit", "-q", "--allow-empty", "-m", "release")
		git(hour, "tag", tag)
		note()
		commit()
		if tag == "v0.1.0" {
			for range 10 { // ten are after two
				commit()
			}
		}
	}
	file := filepath.Join(repo, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	git(hour, "add", "file")
	note()

	form := regexp.MustCompile(`^[0-9][0-9A-Za-z.+~]*$`) // '-' would begin the release of an rpm
	for i, v := range versions {
		if !form.MatchString(v) {
			t.Errorf("the version %q is not one for dpkg and rpm", v)
		}
		if i > 0 && exec.Command("dpkg", "--compare-versions", versions[i-1], "lt", v).Run() != nil {
			t.Errorf("%s does not sort before %s", versions[i-1], v)
		}
	}
	if want := "0.0.0~git20261127233000."; !strings.HasPrefix(versions[0], want) { // which is tomorrow where it was made
		t.Errorf("the first version is %s, want %s and a hash", versions[0], want)
	}
}

// TestChangelog: a release has a section, and what is not released yet has the first.
func TestChangelog(t *testing.T) {
	sections := regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(string(read(t, "sidecar/CHANGELOG.md")), -1)
	if len(sections) == 0 {
		t.Fatal("CHANGELOG.md has no sections")
	}
	described := exec.Command("git", "describe", "--tags", "--exact-match", "--match", "v*")
	described.Dir = root
	out, err := described.Output()
	tag := strings.TrimSpace(string(out))
	first := sections[0][1]
	switch {
	case err != nil && first != "Unreleased":
		t.Errorf("this commit is no release, and CHANGELOG.md begins with %q: begin it with \"Unreleased\"", first)
	case err == nil && !strings.Contains(tag, "-") && !regexp.MustCompile(`^`+regexp.QuoteMeta(tag[1:])+` – \d{4}-\d\d-\d\d$`).MatchString(first):
		t.Errorf("this commit is %s, and CHANGELOG.md begins with %q: call it \"%s – YEAR-MONTH-DAY\"", tag, first, tag[1:])
	}
	for _, s := range sections[1:] {
		if !regexp.MustCompile(`^\d+\.\d+\.\d+ – \d{4}-\d\d-\d\d$`).MatchString(s[1]) {
			t.Errorf("the section %q is not called like \"0.1.0 – 2026-12-31\"", s[1])
		}
	}
}
