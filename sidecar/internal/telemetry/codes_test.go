package telemetry_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// TestCodes: every warning and error in the log of the sidecar has a code,
// every code is explained, and every explained one is used.
func TestCodes(t *testing.T) {
	explained := make(map[string]bool)
	for _, c := range telemetry.Codes() {
		if explained[string(c.Code)] {
			t.Errorf("%s is explained twice", c.Code)
		}
		explained[string(c.Code)] = true
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(string(c.Code)) || c.Section == "" || c.What == "" || c.Why == "" || c.Fix == "" {
			t.Errorf("%s is not explained, or no word: %+v", c.Code, c)
		}
	}
	files := token.NewFileSet()
	names := constants(t, files)
	used := make(map[string]bool)
	for _, value := range names {
		if !explained[value] {
			t.Errorf("%s is not explained", value)
		}
	}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			code, has := codeOf(call, names)
			switch {
			case has && !explained[code]:
				t.Errorf("%s: the code %q is not one of telemetry.Codes", files.Position(call.Pos()), code)
			case has:
				used[code] = true
			case warns(call):
				t.Errorf("%s: a warning or error without a code: add \"code\", telemetry.Code…", files.Position(call.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for code := range explained {
		if !used[code] {
			t.Errorf("%s is explained, but nothing logs it", code)
		}
	}
}

// constants returns the values of the constants of codes.go by name.
func constants(t *testing.T, files *token.FileSet) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(files, "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			names[spec.Names[0].Name], _ = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		}
		return true
	})
	return names
}

// warns reports whether a call logs a warning or an error.
func warns(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Warn", "Error", "WarnContext", "ErrorContext"}, method.Sel.Name) {
		return false
	}
	switch logger := method.X.(type) {
	case *ast.Ident:
		return strings.EqualFold(logger.Name, "log")
	case *ast.SelectorExpr:
		return strings.EqualFold(logger.Sel.Name, "log")
	}
	return false
}

// codeOf returns the code among the arguments of a call, if there is one.
func codeOf(call *ast.CallExpr, names map[string]string) (string, bool) {
	for i, arg := range call.Args[:max(0, len(call.Args)-1)] {
		if lit, ok := arg.(*ast.BasicLit); !ok || lit.Value != `"code"` {
			continue
		}
		switch code := call.Args[i+1].(type) {
		case *ast.SelectorExpr:
			value, ok := names[code.Sel.Name]
			return value, ok
		case *ast.Ident:
			value, ok := names[code.Name]
			return value, ok
		case *ast.BasicLit:
			value, err := strconv.Unquote(code.Value)
			return value, err == nil
		}
	}
	return "", false
}
