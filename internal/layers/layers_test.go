package layers

import (
	"bytes"
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
)

func TestImportsPointDown(t *testing.T) {
	files := readTree(t, moduleRoot(t))
	if len(files) < 10 {
		t.Fatalf("found only %d files: this is not the whole module", len(files))
	}
	for _, b := range check(files) {
		t.Error(b)
	}
}

// TestRules breaks each rule on a graph that is made up, and keeps it beside.
func TestRules(t *testing.T) {
	// in returns a file of a package, with imports below the module unless
	// they name another one.
	in := func(name string, imports ...string) file {
		for i, path := range imports {
			if first, _, _ := strings.Cut(path, "/"); slices.Contains([]string{"middleware", "sidecar", "plugins", "internal", "examples"}, first) {
				imports[i] = module + "/" + path
			}
		}
		return file{name: name, imports: imports, test: strings.HasSuffix(name, "_test.go"), lines: 100}
	}
	const cmp = "github.com/google/go-cmp/cmp"
	for _, tt := range []struct {
		name string
		file file
		want string // in the one breach; none when empty
	}{
		{"the vocabulary imports the standard library", in("middleware/event/event.go", "encoding/json", "iter"), ""},
		{"the vocabulary imports the core", in("middleware/event/event.go", "middleware/webhook"), "layer 0 imports layer 10"},
		{"the core imports the vocabulary", in("middleware/webhook/mux.go", "middleware/event"), ""},
		{"the core imports a dependency", in("middleware/webhook/mux.go", "github.com/google/uuid"), "standard library only"},
		{"the core imports a package of the Go project", in("middleware/webhook/mux.go", "golang.org/x/sys/unix"), "standard library only"},
		{"a test of the core imports go-cmp", in("middleware/webhook/mux_test.go", cmp), ""},
		{"a test of the core imports the sidecar", in("middleware/webhook/mux_test.go", "sidecar/internal/store"), "layer 10 imports layer 20"},
		{"the fast verifier imports the curve", in("middleware/webhook/fastverify/key.go", "middleware/webhook", "filippo.io/edwards25519/field"), ""},
		{"the core imports the fast verifier", in("middleware/webhook/verifier.go", "middleware/webhook/fastverify"), "layer 10 imports layer 12"},
		{"the middleware's test helpers import the core", in("middleware/webhook/webhooktest/sign.go", "middleware/webhook", "middleware/event"), ""},
		{"the core imports its test helpers in a test", in("middleware/webhook/mux_test.go", "middleware/webhook/webhooktest"), ""},

		{"the domain imports a store", in("sidecar/internal/delivery/next.go", "sidecar/internal/store"), "layer 10 imports layer 20"},
		{"the contract of stores imports the domain", in("sidecar/internal/store/store.go", "sidecar/internal/delivery"), ""},
		{"the contract of stores imports a database", in("sidecar/internal/store/store.go", "modernc.org/sqlite"), "standard library only"},
		{"a store imports its contract and its database", in("sidecar/internal/store/sqlite/sqlite.go", "sidecar/internal/store", "modernc.org/sqlite/lib"), ""},
		{"a store imports another one's database", in("sidecar/internal/store/postgres/pg.go", "modernc.org/sqlite"), "at home only in sidecar/internal/store/sqlite"},
		{"the contract suite imports go-cmp", in("sidecar/internal/store/storetest/run.go", "testing", cmp), ""},
		{"state imports state", in("sidecar/internal/store/store.go", "internal/pluginpb"), "both are of layer 20"},
		{"a target imports the domain, state and the core", in("sidecar/internal/forward/forward.go", "sidecar/internal/delivery", "internal/pluginpb", "middleware/webhook"), ""},
		{"a target imports a store", in("sidecar/internal/pluginhost/host.go", "sidecar/internal/store"), "does not know how they are stored"},
		{"a test of a target imports a store", in("sidecar/internal/forward/forward_test.go", "sidecar/internal/store/sqlite"), "does not know how they are stored"},
		{"a target imports another target", in("sidecar/internal/forward/forward.go", "sidecar/internal/pluginhost"), "both are of layer 30"},
		{"a loop imports a target", in("sidecar/internal/dispatch/dispatch.go", "sidecar/internal/forward"), ""},
		{"a loop imports a face", in("sidecar/internal/dispatch/dispatch.go", "sidecar/internal/accept"), "both are of layer 40"},
		{"a test of a loop imports a face", in("sidecar/internal/dispatch/dispatch_test.go", "sidecar/internal/accept"), "both are of layer 40"},
		{"a test of the plugin host runs a plugin", in("sidecar/internal/pluginhost/host_test.go", "plugins/sdk"), ""},
		{"the plugin host imports the plugin's side", in("sidecar/internal/pluginhost/host.go", "plugins/sdk"), "both are of layer 30"},
		{"a target imports a loop", in("sidecar/internal/pluginhost/host.go", "sidecar/internal/dispatch"), "layer 30 imports layer 40"},
		{"a package below a part imports the part", in("sidecar/internal/dispatch/breaker/breaker.go", "sidecar/internal/dispatch"), ""},
		{"the plugin host imports what it is made of", in("sidecar/internal/pluginhost/host.go", "sidecar/internal/pluginhost/link"), ""},
		{"one process is started from the catalog, with a link", in("sidecar/internal/pluginhost/process/launcher.go", "sidecar/internal/pluginhost/catalog", "sidecar/internal/pluginhost/link"), ""},
		{"the catalog starts a process", in("sidecar/internal/pluginhost/catalog/choose.go", "sidecar/internal/pluginhost/process"), "layer 24 imports layer 26"},
		{"the catalog imports a link", in("sidecar/internal/pluginhost/catalog/manifest.go", "sidecar/internal/pluginhost/link"), "both are of layer 24"},
		{"the catalog follows the directory", in("sidecar/internal/pluginhost/catalog/scan.go", "github.com/fsnotify/fsnotify"), "at home only in sidecar/internal/pluginhost"},
		{"a check starts a process from the catalog", in("sidecar/internal/plugincheck/probe.go", "sidecar/internal/pluginhost/catalog", "sidecar/internal/pluginhost/process", "google.golang.org/grpc/codes"), ""},
		{"a check makes a host", in("sidecar/internal/plugincheck/probe.go", "sidecar/internal/pluginhost"), "needs no host"},
		{"the plugin host checks a plugin", in("sidecar/internal/pluginhost/host.go", "sidecar/internal/plugincheck"), "layer 30 imports layer 40"},
		{"a link starts a process", in("sidecar/internal/pluginhost/link/link.go", "sidecar/internal/pluginhost/process"), "layer 24 imports layer 26"},
		{"the plugin host speaks go-plugin", in("sidecar/internal/pluginhost/host.go", "github.com/hashicorp/go-plugin"), "at home only in sidecar/internal/pluginhost/process"},
		{"the plugin host logs with hclog", in("sidecar/internal/pluginhost/host.go", "github.com/hashicorp/go-hclog"), "at home only in sidecar/internal/pluginhost/process"},
		{"what the plugin host is made of imports it", in("sidecar/internal/pluginhost/link/link.go", "sidecar/internal/pluginhost"), "layer 24 imports layer 30"},
		{"the settings import the parts that check them", in("sidecar/internal/config/check.go", "sidecar/internal/accept", "sidecar/internal/pluginhost", "sidecar/internal/store/sqlite"), ""},
		{"the settings import composition", in("sidecar/internal/config/config.go", "sidecar"), "layer 45 imports layer 50"},
		{"a part imports the settings", in("sidecar/internal/accept/accept.go", "sidecar/internal/config"), "layer 40 imports layer 45"},
		{"composition parses the environment", in("sidecar/sidecar.go", "github.com/caarlos0/env/v11"), "at home only in sidecar/internal/config"},
		{"composition imports every part", in("sidecar/sidecar.go", "sidecar/internal/accept", "sidecar/internal/store/sqlite", "sidecar/internal/telemetry"), ""},
		{"a part imports composition", in("sidecar/internal/accept/accept.go", "sidecar"), "layer 40 imports layer 50"},
		{"the program imports composition", in("sidecar/cmd/hookswitch/main.go", "sidecar", "github.com/urfave/cli/v3"), ""},
		{"composition parses flags", in("sidecar/sidecar.go", "github.com/urfave/cli/v3"), "at home only in sidecar/cmd/hookswitch"},
		{"a part imports the program", in("sidecar/sidecar_test.go", "sidecar/cmd/hookswitch"), "nothing imports a program"},

		{"any part of the sidecar is observed", in("sidecar/internal/store/sqlite/sqlite.go", "sidecar/internal/telemetry"), ""},
		{"a plugin is not", in("plugins/sdk/sdk.go", "sidecar/internal/telemetry"), "only the sidecar"},
		{"telemetry imports a part", in("sidecar/internal/telemetry/metrics.go", "sidecar/internal/store"), "only layers 0 and 10"},

		{"a plugin imports the kit", in("plugins/hookswitch-plugin-archive/main.go", "plugins/sdk", "middleware/event"), ""},
		{"a plugin imports the wire", in("plugins/hookswitch-plugin-archive/main.go", "internal/pluginpb"), "nobody could copy it"},
		{"a plugin's test imports the wire", in("plugins/hookswitch-plugin-archive/main_test.go", "internal/pluginpb"), ""},
		{"an example imports the sidecar", in("examples/server/main.go", "sidecar"), "nobody could copy it"},
		{"an example imports its own package", in("examples/server/main.go", "examples/server/page"), ""},
		{"an example imports another example", in("examples/server/main.go", "examples/plugin/page"), "nothing imports a program"},

		{"a test imports the test kit", in("sidecar/internal/store/store_test.go", "internal/testkit/official"), ""},
		{"a part imports the test kit", in("sidecar/internal/forward/forward.go", "internal/testkit/official"), "only tests do"},
		{"the test kit imports the sidecar", in("internal/testkit/run.go", "sidecar", "github.com/rogpeppe/go-internal/testscript"), ""},
		{"the test kit imports a program", in("internal/testkit/run.go", "sidecar/cmd/hookswitch"), "nothing imports a program"},

		{"a package without a layer", in("sidecar/internal/util/util.go"), "internal/layers/table_test.go"},
		{"a package at the root", in("hookswitch.go"), "has no layer"},
		{"a dependency nobody decided on", in("sidecar/internal/accept/accept.go", "github.com/stretchr/testify/assert"), "must pay for itself"},
		{"a module with a longer name", in("sidecar/internal/store/sqlite/sqlite.go", "modernc.org/sqlite3"), "must pay for itself"},
		{"cgo", in("sidecar/internal/accept/accept.go", "C"), "imports C"},

		{"the settings are read from the environment", file{name: "sidecar/internal/config/config.go", environment: []string{"os.Getenv"}}, ""},
		{"a part reads the environment", file{name: "sidecar/internal/accept/accept.go", environment: []string{"os.Getenv"}}, "uses os.Getenv: only sidecar/internal/config/config.go"},
		{"another file of that name reads the environment", file{name: "sidecar/internal/accept/config.go", environment: []string{"os.Environ"}}, "only sidecar/internal/config/config.go"},
		{"the middleware reads the environment", file{name: "middleware/webhook/keys.go", environment: []string{"os.LookupEnv"}}, "only sidecar/internal/config/config.go"},
		{"a test reads the environment", file{name: "sidecar/config_test.go", test: true, environment: []string{"os.Environ"}}, ""},
		{"an example reads the environment", file{name: "examples/server/main.go", environment: []string{"os.Getenv"}}, ""},

		{"a file as long as it may be", file{name: "sidecar/sidecar.go", lines: maxLines}, ""},
		{"a file that is too long", file{name: "sidecar/sidecar.go", lines: maxLines + 1}, "one idea a file"},
		{"a long test", file{name: "sidecar/sidecar_test.go", test: true, lines: 2000}, ""},
		{"a long generated file", file{name: "internal/pluginpb/plugin.pb.go", generated: true, inits: true, lines: 2000}, ""},
		{"a file that must run before main", file{name: "plugins/sdk/hosted.go", inits: true}, ""},
		{"a package that registers itself", file{name: "sidecar/internal/forward/forward.go", inits: true}, "func init"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := check([]file{tt.file})
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("refused: %q", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("got %q, want one breach with %q", got, tt.want)
			}
		})
	}
}

// TestReader checks that the rules see the content of the files.
func TestReader(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module "+module+"\n")
	write("sidecar/a.go", "//go:build plan9\n\npackage sidecar\n\nimport (\n\tsystem \"os\"\n\t_ \"example.com/x\"\n)\n\n"+
		"var _ = system.Getenv\nvar _ = system.Args\n\nfunc init() {}\n")
	write("sidecar/b_test.go", "package sidecar_test\n\nimport . \"syscall\"\n")
	write("sidecar/c.go", "// Code generated by hand. DO NOT EDIT.\n\npackage sidecar\n\ntype T struct{}\n\nfunc (T) init() {}\n\n"+
		"type os struct{ Getenv int }\n\nvar _ = os{}.Getenv\n")
	write("sidecar/d.go", "package sidecar\n\nimport \"github.com/caarlos0/env/v11\"\n\nvar _ = env.Parse\n")
	for _, ignored := range []string{"sidecar/testdata/x.go", ".tmp/x.go", "_old/x.go", "nested/x.go", "sidecar/x.txt"} {
		write(ignored, "not Go")
	}
	write("nested/go.mod", "module nested\n")

	got := readTree(t, root)
	want := []file{
		{name: "sidecar/a.go", lines: 13, imports: []string{"os", "example.com/x"}, inits: true, environment: []string{"os.Getenv"}},
		{name: "sidecar/b_test.go", test: true, lines: 3, imports: []string{"syscall"}, environment: []string{"a dot import of syscall"}},
		{name: "sidecar/c.go", generated: true, lines: 11},
		{name: "sidecar/d.go", lines: 5, imports: []string{"github.com/caarlos0/env/v11"}, environment: []string{"github.com/caarlos0/env/v11"}},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if g, w := got[i], want[i]; g.name != w.name || g.test != w.test || g.generated != w.generated || g.lines != w.lines ||
			g.inits != w.inits || !slices.Equal(g.imports, w.imports) || !slices.Equal(g.environment, w.environment) {
			t.Errorf("got  %+v\nwant %+v", g, w)
		}
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
	}
}

// readTree reads the Go files of a module in the order of their names. It
// reads the files rather than asking the go command so that those of other
// systems are judged too.
func readTree(t *testing.T, root string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		base := d.Name()
		hidden := base[0] == '.' || base[0] == '_'
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			if hidden || base == "testdata" || err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if hidden || filepath.Ext(base) != ".go" {
			return nil
		}
		f, err := readFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		f.name = filepath.ToSlash(relative)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readFile(name string) (file, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return file{}, err
	}
	tree, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	f := file{
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(tree),
		lines:     bytes.Count(text, []byte("\n")),
	}
	local := make(map[string]string) // name in the file → os or syscall
	for _, spec := range tree.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, path)
		switch {
		case strings.HasPrefix(path, "github.com/caarlos0/env"):
			f.environment = append(f.environment, path)
		case path != "os" && path != "syscall":
		case spec.Name == nil:
			local[path] = path
		case spec.Name.Name == ".":
			f.environment = append(f.environment, "a dot import of "+path)
		default:
			local[spec.Name.Name] = path
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			f.inits = f.inits || n.Recv == nil && n.Name.Name == "init"
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && local[x.Name] != "" && slices.Contains(environmentFunctions, n.Sel.Name) {
				f.environment = append(f.environment, local[x.Name]+"."+n.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}

// environmentFunctions of os and syscall read the environment or change it.
var environmentFunctions = []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv"}
