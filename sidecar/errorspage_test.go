package sidecar

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// update writes the table of codes into ERRORS.md:
//
//	go test ./sidecar -run TestErrorsPage -update
var update = flag.Bool("update", false, "write the table of log codes into ERRORS.md")

// TestErrorsPage holds ERRORS.md against the code: every problem that an
// answer can have, and every code of the log.
func TestErrorsPage(t *testing.T) {
	page, err := os.ReadFile("ERRORS.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	var table strings.Builder
	for _, info := range telemetry.Codes() {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", info.Code, info.What, info.Why, info.Fix)
	}
	const head = "| code | what | why | fix |\n|---|---|---|---|\n"
	before, rest, ok := strings.Cut(text, head)
	old, after, ok2 := strings.Cut(rest, "\n<!-- end of codes -->")
	if !ok || !ok2 {
		t.Fatal("ERRORS.md has no table of codes, or no end of it")
	}
	if old != table.String() {
		if !*update {
			t.Error("the table of codes in ERRORS.md is not what telemetry.Codes says: run this test with -update")
		} else if err := os.WriteFile("ERRORS.md", []byte(before+head+table.String()+"\n<!-- end of codes -->"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range append(said(t, "../middleware/webhook", "reasons"), accept.UnknownPath) {
		if !strings.Contains(text, "\n| `urn:hookswitch:problem:"+name+"` |") {
			t.Errorf("ERRORS.md does not explain the rejection %s", name)
		}
	}
	for _, name := range said(t, "internal/adminapi", "NewProblem") {
		if !strings.Contains(text, "\n| `urn:hookswitch:error:"+name+"` |") {
			t.Errorf("ERRORS.md does not explain the problem %s", name)
		}
	}
	for _, name := range said(t, ".", "NewProblem") {
		if !strings.Contains(text, "\n| `urn:hookswitch:error:"+name+"` |") {
			t.Errorf("ERRORS.md does not explain the refusal %s", name)
		}
	}
	for _, code := range said(t, "internal/deliveryapi", "newError") {
		if !strings.Contains(text, "\n| `"+code+"` |") {
			t.Errorf("ERRORS.md does not explain Telnyx's error code %s", code)
		}
	}
}

// said returns the constants by which the code below dir says that something
// is wrong: the words of NewProblem(status, word, …), the codes of newError(code, …), or the reason words of webhook's
// rejections.
func said(t *testing.T, dir, what string) []string {
	t.Helper()
	var found []string
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				found = append(found, s)
			}
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.Contains(path, "deliverytest") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				switch name := called(n); {
				case what == "NewProblem" && name == what && len(n.Args) > 1:
					add(n.Args[1])
				case what == "newError" && name == "newError" && len(n.Args) > 0:
					add(n.Args[0])
				}
			case *ast.ValueSpec:
				if what == "reasons" && len(n.Names) == 1 && n.Names[0].Name == "rejections" {
					for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
						add(e.(*ast.KeyValueExpr).Value.(*ast.CompositeLit).Elts[0])
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("found no %s in %s: does the code say it in another way now?", what, dir)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// called is the name of the function or method that is called.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
