package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const dockerFile = "examples/docker/Dockerfile"

// stages parses the Dockerfile as docker build does, its warnings included.
func stages(t *testing.T, path string) []instructions.Stage {
	t.Helper()
	result, err := parser.Parse(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range result.Warnings {
		t.Errorf("%s: %s", path, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		t.Errorf("%s: %v: %s: %s", path, at, rule, message)
	}})
	parsed, _, err := instructions.Parse(result.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestDockerfile(t *testing.T) {
	all := stages(t, dockerFile)
	final := all[len(all)-1]
	if final.BaseName != "scratch" {
		t.Errorf("the image is made from %s", final.BaseName)
	}
	made := outputs(all[0])
	found := make(map[string]bool)
	for _, c := range final.Commands {
		switch c := c.(type) {
		case *instructions.CopyCommand:
			for _, src := range c.SourcePaths {
				if c.From != all[0].Name || strings.HasPrefix(src, "/out/") && !slices.Contains(made, src) {
					t.Errorf("COPY %s: the stage %q does not make it", src, c.From)
				}
			}
		case *instructions.UserCommand:
			found["user"] = c.User == "65532:65532"
		case *instructions.HealthCheckCommand:
			found["health"] = slices.Equal(c.Health.Test, []string{"CMD", "/hookswitch", "health"})
		case *instructions.EntrypointCommand:
			found["entrypoint"] = !c.PrependShell && slices.Equal(c.CmdLine, []string{"/hookswitch"})
		case *instructions.CmdCommand:
			found["cmd"] = !c.PrependShell && slices.Equal(c.CmdLine, []string{"run"})
		case *instructions.VolumeCommand:
			found["volume"] = slices.Equal(c.Volumes, []string{"/var/lib/hookswitch"})
		case *instructions.RunCommand:
			t.Error("RUN needs a shell, and scratch has none")
		}
	}
	for _, want := range []string{"user", "health", "entrypoint", "cmd", "volume"} {
		if !found[want] {
			t.Errorf("%s is missing or not as expected", want)
		}
	}
	for _, c := range all[0].Commands {
		if c, ok := c.(*instructions.CopyCommand); ok && c.From == "" {
			for _, src := range c.SourcePaths {
				if _, err := os.Stat(filepath.Join(root, src)); err != nil {
					t.Errorf("COPY %s: %v", src, err)
				}
				if !slices.Contains(strings.Fields(string(read(t, dockerFile+".dockerignore"))), "!"+src) {
					t.Errorf("COPY %s: .dockerignore leaves it out", src)
				}
			}
		}
	}
}

// outputs are the paths that the build stage makes below /out.
func outputs(build instructions.Stage) (paths []string) {
	for _, c := range build.Commands {
		if c, ok := c.(*instructions.RunCommand); ok {
			for _, word := range strings.Fields(strings.Join(c.CmdLine, " ")) {
				if word = strings.TrimPrefix(word, "PROGRAM="); strings.HasPrefix(word, "/out/") {
					paths = append(paths, word)
				}
			}
		}
	}
	return paths
}

// buildLine is the RUN line that compiles the sidecar.
func buildLine(t *testing.T) string {
	t.Helper()
	for _, c := range stages(t, dockerFile)[0].Commands {
		if c, ok := c.(*instructions.RunCommand); ok {
			if line := strings.Join(c.CmdLine, " "); strings.Contains(line, "make program") {
				return line
			}
		}
	}
	t.Fatal("no RUN line compiles the sidecar")
	return ""
}

// TestImage makes what docker build would, from the same lines: the program is
// compiled by the RUN line of the Dockerfile from what is copied only, put
// where COPY puts it, and run as its USER in a root directory with nothing
// else in it. That needs root and no container engine.
func TestImage(t *testing.T) {
	source, image := t.TempDir(), t.TempDir()
	for _, c := range stages(t, dockerFile)[0].Commands {
		if c, ok := c.(*instructions.CopyCommand); ok {
			for _, src := range c.SourcePaths {
				command(t, exec.Command("cp", "-R", filepath.Join(root, src), source))
			}
		}
	}
	line := strings.ReplaceAll(buildLine(t), "/out/hookswitch", filepath.Join(image, "hookswitch"))
	cmd := exec.Command("sh", "-e", "-c", line)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH=", "VERSION=image-test", "MAKEFLAGS=")
	command(t, cmd)
	checkStatic(t, filepath.Join(image, "hookswitch"))
	runImage(t, image)
}

// TestPodmanKeepsTheHealthCheck: an image in podman's own format has no health
// check, so what people read says how to keep it, and the compose file brings it.
func TestPodmanKeepsTheHealthCheck(t *testing.T) {
	for _, path := range []string{dockerFile, "README.md"} {
		if !strings.Contains(string(read(t, path)), "podman build --format docker") {
			t.Errorf("%s does not say how podman keeps the health check", path)
		}
	}
	if text := string(read(t, "examples/flask/compose.yaml")); !strings.Contains(text, `test: ["CMD", "/hookswitch", "health"]`) {
		t.Error("the compose file relies on the image for the health check")
	}
}
