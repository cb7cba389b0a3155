package sdk_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// apiImports is all that the exported declarations of the SDK may speak of: what
// a plugin's author already knows.
var apiImports = []string{
	"context", "encoding/json", "log/slog", "net/http", "testing", "time",
	"github.com/hookswitch/hookswitch/middleware/event",
	"github.com/hookswitch/hookswitch/middleware/webhook",
	"github.com/hookswitch/hookswitch/plugins/sdk", // in sdktest
}

func TestAuthorsSeeNothingOfTheTransport(t *testing.T) {
	for _, dir := range []string{".", "sdktest"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			imports := importsOf(file)
			for _, part := range exportedParts(file) {
				ast.Inspect(part, func(n ast.Node) bool {
					s, ok := n.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					x, ok := s.X.(*ast.Ident)
					if !ok {
						return true
					}
					if path := imports[x.Name]; path != "" {
						seen++
						if !slices.Contains(apiImports, path) {
							t.Errorf("%s: the exported API has a %s.%s of %s", fset.Position(s.Pos()), x.Name, s.Sel.Name, path)
						}
					}
					return true
				})
			}
		}
		if seen == 0 {
			t.Errorf("%s: nothing was looked at", dir)
		}
	}
}

// importsOf returns the paths of a file's imports by the name in the file.
func importsOf(file *ast.File) map[string]string {
	imports := make(map[string]string)
	for _, i := range file.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		imports[name] = path
	}
	return imports
}

// exportedParts returns what a stranger sees of a file: signatures, exported
// fields, and the types of exported constants and variables.
func exportedParts(file *ast.File) []ast.Node {
	var parts []ast.Node
	fields := func(list *ast.FieldList) {
		for _, f := range list.List {
			if len(f.Names) == 0 || slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) {
				parts = append(parts, f.Type)
			}
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) {
				parts = append(parts, d.Type)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					if spec.Type != nil && slices.ContainsFunc(spec.Names, (*ast.Ident).IsExported) {
						parts = append(parts, spec.Type)
					}
				case *ast.TypeSpec:
					if !spec.Name.IsExported() {
						continue
					}
					if s, ok := spec.Type.(*ast.StructType); ok {
						fields(s.Fields)
					} else {
						parts = append(parts, spec.Type)
					}
				}
			}
		}
	}
	return parts
}

func exportedReceiver(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	name, ok := t.(*ast.Ident)
	return ok && name.IsExported()
}
