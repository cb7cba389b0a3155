package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// TestGoNames compares the names that we make with those in the source of
// package event.
func TestGoNames(t *testing.T) {
	packages, err := filepath.Glob("../../../middleware/event/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range packages {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			call, ok := spec.Values[0].(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			define, ok := call.Fun.(*ast.IndexExpr)
			if name, _ := call.Args[0].(*ast.BasicLit); ok && name != nil && define.X.(*ast.Ident).Name == "Define" {
				seen++
				eventType, err := strconv.Unquote(name.Value)
				if err != nil {
					t.Fatal(err)
				}
				if got := goName(eventType); got != spec.Names[0].Name {
					t.Errorf("%s: goName returns %s, and package event has %s", eventType, got, spec.Names[0].Name)
				}
				if got, want := goPayload(eventType), define.Index.(*ast.Ident).Name; got != "event."+want {
					t.Errorf("%s: goPayload returns %s, and package event has %s", eventType, got, want)
				}
			}
			return true
		})
	}
	if all := len(event.Names()); seen != all {
		t.Errorf("found %d of %d names in the source", seen, all)
	}
}

// TestScaffoldGo: the version of Go that new plugins ask for is that of the SDK.
func TestScaffoldGo(t *testing.T) {
	text, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("\ngo "+sdkGo+"\n")) {
		t.Errorf("sdkGo is %s, and go.mod says otherwise", sdkGo)
	}
}

// TestNewPluginBuilds makes a plugin and does with it what its author would,
// without the network.
func TestNewPluginBuilds(t *testing.T) {
	t.Setenv("GOFLAGS", os.Getenv("GOFLAGS")+" -mod=readonly")
	t.Setenv("GOPROXY", "off")
	dir := filepath.Join(t.TempDir(), "my plugin")
	var stdout, stderr bytes.Buffer
	args := []string{"hookswitch", "plugins", "new", "all-kinds", "--dir", dir, "--module", "example.org/team/all-kinds", "--local", "../../..",
		"--event", "message.received", "--event", "call.*", "--event", "*", "--event", "texml.conference-start", "--event", "10dlc.brand.update",
		"--event", "shiny.thing.happened", "--raw-event", "shiny_thing.happened"}
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), "go test ./...") {
		t.Errorf("the next steps are missing: %s", stdout.String())
	}
	for _, command := range [][]string{{"go", "vet", "./..."}, {"go", "test", "./..."}, {"go", "build", "-o", "all-kinds", "."}, {"./all-kinds", "describe"}} {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
		if command[0] != "go" && !bytes.Contains(out, []byte(`"texml.conference-start"`)) {
			t.Errorf("describe says %s", out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v %s", err, out)
	}
	stdout.Reset()
	stderr.Reset()
	if code := run(t.Context(), []string{"hookswitch", "plugins", "test", filepath.Join(dir, "all-kinds")}, &stdout, &stderr); code != 0 {
		t.Errorf("plugins test: exit %d: %s%s", code, stdout.String(), stderr.String())
	}
}

// TestNewPluginForNoEvent: what may be meant is said.
func TestNewPluginForNoEvent(t *testing.T) {
	for event, want := range map[string]string{"brand.*": `use "10dlc.brand.update"`, "fxa.*": `did you mean "fax.*"?`, "fax.recieved": `did you mean "fax.received"?`} {
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"hookswitch", "plugins", "new", "some", "--dir", t.TempDir(), "--local", "../../..", "--event", event}, io.Discard, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit %d: %s, want %s", event, code, &stderr, want)
		}
	}
}

// TestNewPluginIsFormatted: whatever kinds of events it has.
func TestNewPluginIsFormatted(t *testing.T) {
	for i, events := range [][]string{
		{"*"}, {"call.*"}, {"message.received"}, {"fax.received", "*"}, {"*", "fax.received"}, {"call.*", "message.*"},
		{"call.hangup", "call.initiated"}, {"call.*", "call.hangup", "10dlc.brand.update", "texml.conference-start"},
		{"shiny.thing"}, {"shiny.*", "call.hangup"},
	} {
		dir := filepath.Join(t.TempDir(), strconv.Itoa(i))
		args := []string{"hookswitch", "plugins", "new", "some", "--dir", dir, "--local", "../../.."}
		for _, e := range events {
			args = append(args, "--event", e)
		}
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
			t.Fatalf("%q: exit %d: %s", events, code, stderr.String())
		}
		for _, name := range []string{"main.go", "main_test.go"} {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			want, err := format.Source(got)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%q: %s is not formatted (%v):\n%s", events, name, err, got)
			}
		}
		for _, name := range []string{"main.go", "main_test.go", "go.mod", "Makefile", "README.md", ".gitignore"} {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || bytes.Contains(got, []byte("{{")) {
				t.Errorf("%q: a placeholder is left in %s (%v):\n%s", events, name, err, got)
			}
		}
	}
}

// TestReleaseOf: only a version that others can fetch is asked for.
func TestReleaseOf(t *testing.T) {
	for v, want := range map[string]string{
		"v0.1.0": "v0.1.0", "0.1.0": "v0.1.0", "v1.2.3-rc.1": "v1.2.3-rc.1", "dev": "", "v0.1.0-3-gabc1234": "", "v0.1.0-dirty": "", "abc1234": "",
		"v0.0.0-20261125140000-0123456789ab": "", "v0.0.0-20261125140000-0123456789ab+dirty": "", "0.1.1-git1795877045.0123abc": "",
	} {
		if got := releaseOf(nil, v); got != want {
			t.Errorf("%s: %q, want %q", v, got, want)
		}
	}
	const commit = "v0.0.0-20261125140000-0123456789ab"
	for _, tt := range []struct{ path, version, sum, want string }{
		{sdkModule, "v0.1.0", "", "v0.1.0"},
		{sdkModule, "v0.1.0+dirty", "", ""},
		{sdkModule, "(devel)", "", ""},
		{sdkModule, commit, "", ""},          // of a clone: perhaps nobody else has it
		{sdkModule, commit, "h1:x=", commit}, // of go install …@commit
		{sdkModule, "v1.0.1-0.20261125140000-0123456789ab", "", ""},
		{"example.com/fork", "v0.1.0", "h1:x=", ""},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Path: tt.path, Version: tt.version, Sum: tt.sum}}
		if got := releaseOf(info, "devel"); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// TestFindSource looks in each of the places, and above it.
func TestFindSource(t *testing.T) {
	top := t.TempDir()
	source, other := filepath.Join(top, "source"), filepath.Join(top, "other")
	for dir, module := range map[string]string{source: sdkModule, other: "example.com/other", filepath.Join(source, "inner"): sdkModule + "/inner"} {
		if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+module+"\n\ngo 1.26\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		places []string
		want   string
	}{
		{nil, ""},
		{[]string{top, other}, ""},
		{[]string{source}, source},
		{[]string{filepath.Join(other, "bin"), filepath.Join(source, "bin")}, source},
		{[]string{filepath.Join(source, "inner", "bin")}, source},
		{[]string{filepath.Join(top, "gone", "bin")}, ""},
	} {
		if got := findSource(tt.places); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.places, got, tt.want)
		}
	}
	places := sourcePlaces()
	if wd, err := os.Getwd(); err != nil || !slices.Contains(places, wd) || findSource(places) == "" {
		t.Errorf("%q: this directory is not among the places, or has no source above it (%v)", places, err)
	}
}
