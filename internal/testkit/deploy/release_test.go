package deploy

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// What a release is compiled with is what "make build" compiles with.
func TestReleaseHasTheFlagsOfMake(t *testing.T) {
	var release struct {
		Builds []struct {
			ID    string
			Env   []string
			Flags []string
		}
	}
	if err := yaml.Unmarshal(read(t, ".goreleaser.yaml"), &release); err != nil {
		t.Fatal(err)
	}
	list := exec.Command("make", "--no-print-directory", "flags")
	list.Dir, list.Env = root, append(os.Environ(), "MAKEFLAGS=", "GOENV=off", "GOFLAGS=")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	split := exec.Command("sh", "-c", `eval "set -- $GOFLAGS"; printf '%s\n' "$@"`)
	split.Env = append(os.Environ(), "GOFLAGS="+string(out))
	lines, err := split.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(lines))
	if len(release.Builds) == 0 || len(want) < 3 {
		t.Fatalf("%d builds, flags %q", len(release.Builds), want)
	}
	for _, build := range release.Builds {
		if !slices.Equal(build.Flags, want) {
			t.Errorf("%s: .goreleaser.yaml has\n%q\nthe Makefile has\n%q", build.ID, build.Flags, want)
		}
		if !slices.Contains(build.Env, "CGO_ENABLED=0") {
			t.Errorf("%s is compiled with %q", build.ID, build.Env)
		}
	}
}
