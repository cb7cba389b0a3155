package webhook_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestLinksTheStandardLibraryOnly: a server that imports this package links
// nothing else, whatever the packages beside it and the module need.
func TestLinksTheStandardLibraryOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	const middleware = "github.com/hookswitch/hookswitch/middleware/"
	if got := strings.Fields(string(out)); strings.Join(got, " ") != middleware+"event "+middleware+"webhook" {
		t.Errorf("links %q, want this package and event", got)
	}
}

// TestWrongPayloadDoesNotCompile type-checks two programs that differ in the
// payload of one handler.
func TestWrongPayloadDoesNotCompile(t *testing.T) {
	const program = `package p

import (
	"context"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

func register(mux *webhook.Mux) {
	webhook.On(mux, event.MessageFinalized, func(context.Context, *webhook.Event, *event.PAYLOAD) error { return nil })
}
`
	fset := token.NewFileSet()
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", compiled(t, ".", "../event", "context"))}
	check := func(payload string) error {
		file, err := parser.ParseFile(fset, payload+".go", strings.Replace(program, "PAYLOAD", payload, 1), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = config.Check("p", fset, []*ast.File{file}, nil)
		return err
	}
	if err := check("Message"); err != nil {
		t.Errorf("the right payload does not compile: %v", err)
	}
	err := check("CallHangupPayload")
	if err == nil || !strings.Contains(err.Error(), "CallHangupPayload") {
		t.Errorf("a payload of another event: %v, want an error of the compiler that names it", err)
	}
}

// compiled returns a function that opens what the compiler wrote of packages, and
// of all that they import. To read their sources instead, down to those of net/http,
// took three seconds, and twenty with the race detector.
func compiled(t *testing.T, packages ...string) importer.Lookup {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}"}, packages...)...)
	list.Stderr = t.Output()
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) {
		if files[path] == "" {
			return nil, fmt.Errorf("go list names no file for %q", path)
		}
		return os.Open(files[path])
	}
}
