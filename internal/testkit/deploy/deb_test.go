package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestDeb unpacks the package with dpkg-deb, as dpkg does, and uses what is in
// it.
func TestDeb(t *testing.T) {
	deb := os.Getenv("HOOKSWITCH_DEB")
	if deb == "" {
		t.Skip("no package given: run this with make deploy, which makes one")
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed")
	}
	dir := t.TempDir()
	command(t, exec.Command("dpkg-deb", "--raw-extract", deb, dir))

	control := string(command(t, exec.Command("dpkg-deb", "--field", deb)))
	for _, want := range []string{"Package: hookswitch\n", "Section: net\n", "Description: receiver of Telnyx webhooks\n"} {
		if !strings.Contains(control, want) {
			t.Errorf("the control file lacks %q:\n%s", want, control)
		}
	}
	if version := command(t, exec.Command("dpkg-deb", "--field", deb, "Version")); version < "0" || version > ":" {
		t.Errorf("the version %q begins with no digit", version)
	}
	if got := strings.Fields(string(readFile(t, dir, "DEBIAN/conffiles"))); !slices.Equal(got, []string{"/etc/hookswitch/hookswitch.env"}) {
		t.Errorf("configuration files %v", got)
	}
	for path, mode := range map[string]os.FileMode{
		"usr/bin/hookswitch": 0o755,
		"usr/libexec/hookswitch/plugins/hookswitch-plugin-archive": 0o755,
		"usr/libexec/hookswitch/plugins/hookswitch-plugin-exec":    0o755,
		"usr/lib/systemd/system/hookswitch.service":                0o644,
		"usr/share/hookswitch/service.env":                         0o644,
		"usr/lib/sysusers.d/hookswitch.conf":                       0o644,
		"etc/hookswitch/hookswitch.env":                            0o600, // until postinst has made the group
		"etc/hookswitch/plugins":                                   os.ModeDir | 0o755,
		"usr/share/doc/hookswitch/copyright":                       0o644,
		"usr/share/bash-completion/completions/hookswitch":         0o644,
		"usr/share/man/man1/hookswitch.1":                          0o644,
		"DEBIAN/postinst":                                          0o755, "DEBIAN/prerm": 0o755, "DEBIAN/postrm": 0o755,
	} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != mode {
			t.Errorf("%s is %v, want %v", path, info.Mode(), mode)
		}
	}
	if string(readFile(t, dir, "usr/lib/systemd/system/hookswitch.service")) != string(read(t, unitFile)) {
		t.Error("the unit in the package is not that of the repository")
	}
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		command(t, exec.Command("sh", "-n", filepath.Join(dir, "DEBIAN", script)))
	}
	command(t, exec.Command("bash", "-n", filepath.Join(dir, "usr/share/bash-completion/completions/hookswitch")))

	program := filepath.Join(dir, "usr/bin/hookswitch")
	if page := string(readFile(t, dir, "usr/share/man/man1/hookswitch.1")); page != command(t, exec.Command(program, "man")) {
		t.Error("the manual page is not that of the program")
	}
	checkStatic(t, program)
	if out := command(t, exec.Command(program, "version")); !strings.HasPrefix(out, "hookswitch ") {
		t.Errorf("version says %q", out)
	}
	// The settings as installed: all that is missing is the key, and it says so.
	check := exec.Command(program, "config", "check", "--env-file", filepath.Join(dir, "etc/hookswitch/hookswitch.env"))
	check.Dir, check.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	out, err := check.CombinedOutput()
	if check.ProcessState.ExitCode() != 78 || !strings.Contains(string(out), "TELNYX_PUBLIC_KEY") {
		t.Errorf("config check of the settings as installed: %v\n%s", err, out)
	}
	check = exec.Command(program, "config", "check", "--env-file", filepath.Join(dir, "etc/hookswitch/hookswitch.env"))
	check.Dir = dir
	check.Env = []string{"TELNYX_PUBLIC_KEY=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "PATH=" + os.Getenv("PATH")}
	command(t, check)
}

func readFile(t *testing.T, dir, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// content is where a file of a package comes from and goes to.
type content struct{ Src, Dst, Type string }

// The packages of a release have what the package of "make deb" has.
func TestPackagesAgree(t *testing.T) {
	var own struct {
		Contents []content
		Scripts  map[string]string
	}
	if err := yaml.Unmarshal(read(t, "examples/systemd/nfpm.yaml"), &own); err != nil {
		t.Fatal(err)
	}
	var release struct {
		Nfpms []struct {
			Bindir   string
			Contents []content
			Scripts  map[string]string
		}
	}
	if err := yaml.Unmarshal(read(t, ".goreleaser.yaml"), &release); err != nil {
		t.Fatal(err)
	}
	packages := release.Nfpms[0]
	list := func(contents []content) (lines []string) {
		for _, c := range contents {
			if c.Dst == "/usr/bin/hookswitch" {
				continue // goreleaser puts it into bindir by itself
			}
			if strings.HasPrefix(c.Dst, "/usr/libexec/hookswitch/plugins/") {
				c.Src = "" // built in another place
			}
			lines = append(lines, c.Dst+" "+c.Type+" from "+c.Src)
			if strings.ContainsAny(c.Src, "*{") || c.Src == "" || strings.HasPrefix(c.Src, ".tmp/") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, c.Src)); err != nil {
				t.Errorf("%s: %v", c.Dst, err)
			}
		}
		slices.Sort(lines)
		return lines
	}
	if a, b := list(own.Contents), list(packages.Contents); !slices.Equal(a, b) {
		t.Errorf("nfpm.yaml has\n%s\n.goreleaser.yaml has\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	if packages.Bindir != "/usr/bin" {
		t.Errorf("bindir is %q", packages.Bindir)
	}
	bundled, err := filepath.Glob(filepath.Join(root, "plugins/hookswitch-plugin-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range bundled {
		dst := "/usr/libexec/hookswitch/plugins/" + filepath.Base(dir)
		if !slices.ContainsFunc(own.Contents, func(c content) bool { return c.Dst == dst }) {
			t.Errorf("the package lacks the plugin %s", filepath.Base(dir))
		}
	}
	for name, path := range own.Scripts {
		if packages.Scripts[name] != path {
			t.Errorf("script %s is %q and %q", name, path, packages.Scripts[name])
		}
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Error(err)
		}
	}
}
