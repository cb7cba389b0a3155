package apps

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A diagnosis is what "hookswitch doctor app" says of an app.
type diagnosis struct {
	Framework string
	OK        bool
	Checks    []struct{ Name, Result string }
	Findings  []struct {
		Code, Fix string
		Checks    []string
	}
}

// doctor runs "hookswitch doctor app" with some arguments. Its exit code has to be
// that of its verdict.
func (s *stage) doctor(folder string, env []string, args ...string) (d diagnosis) {
	s.t.Helper()
	cmd := exec.Command(s.hookswitch, append([]string{"doctor", "app", "-o", "json"}, args...)...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), append(env, "HOOKSWITCH_STORE=file:"+s.dir+"/none", "PYTHONDONTWRITEBYTECODE=1")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		s.t.Fatalf("doctor %q: %v\n%s", args, err, &stderr)
	}
	if err := json.Unmarshal(out, &d); err != nil {
		s.t.Fatalf("doctor %q: %v\n%s", args, err, out)
	}
	if d.OK != (err == nil) {
		s.t.Errorf("doctor %q: ok is %v, and the exit code %v", args, d.OK, err)
	}
	return d
}

// TestWrongForms runs what people write from the documentation of a framework, and
// hears what "hookswitch doctor app" says of it. With HOOKSWITCH_APPS=short, which
// CI has, only some of it.
func TestWrongForms(t *testing.T) {
	asked(t)
	python := pythonWith(t, "django", "fastapi", "uvicorn", "cryptography")
	s := &stage{t: t, dir: t.TempDir(), hookswitch: hookswitch(t)}
	folder := recipeFolder(t)
	if err := os.CopyFS(folder, os.DirFS(filepath.Join("testdata", "wrong"))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		command   string   // $PORT is the port
		framework string   // as far as answers show it
		codes     []string // of the findings
		fix       string   // in the first
		short     bool     // run by CI, too
	}{
		{"node express-json.mjs", "Express", []string{"parser"}, "express.raw(", true},
		{"node express-raw.mjs", "Express", []string{"limit", "form"}, "limit: '2mb'", true},
		{"node express4-throw.mjs", "Express", []string{"crash"}, "next(err)", false},
		{"node express4-verify.mjs", "Express", []string{"crash"}, "next(err)", false},
		{"node fetch-headers.mjs", "", []string{"headers-object"}, "Object.fromEntries(request.headers)", true},
		{"node fastify-default.mjs", "Fastify", []string{"parser", "form"}, "addContentTypeParser('*'", false},
		{"php -d display_errors=1 -S 127.0.0.1:$PORT display_errors.php", "PHP", []string{"done-on-failure"}, "http_response_code(500)", true},
		{python + " django_csrf.py runserver --noreload $PORT", "Django", []string{"csrf"}, "@csrf_exempt", false},
		{python + " -m uvicorn --port $PORT --log-level warning fastapi_model:app", "FastAPI", []string{"parser", "form"}, "await request.body()", false},
		{"ruby sinatra_open.rb", "Sinatra", []string{"unverified"}, "", false},
	} {
		t.Run(tt.command[strings.LastIndex(tt.command, "/")+1:], func(t *testing.T) {
			if os.Getenv("HOOKSWITCH_APPS") == "short" && !tt.short {
				t.Skip("run by make recipes: it is not among those of HOOKSWITCH_APPS=short")
			}
			if old := nodeMajor(t); old < 20 && strings.Contains(tt.command, "fetch-headers") {
				t.Skipf("its packages need Node 20, and this is %d", old)
			}
			port := freePort(t)
			s := *s
			s.t = t
			command := strings.Fields(strings.ReplaceAll(tt.command, "$PORT", port))
			d := s.doctor(folder, []string{"PORT=" + port}, append([]string{"http://127.0.0.1:" + port + "/webhooks", "--"}, command...)...)
			var codes []string
			for _, f := range d.Findings {
				codes = append(codes, f.Code)
			}
			if !slices.Equal(codes, tt.codes) || d.Framework != tt.framework {
				t.Fatalf("found %q in %q, want %q in %q: %+v", codes, d.Framework, tt.codes, tt.framework, d)
			}
			if !strings.Contains(d.Findings[0].Fix, tt.fix) {
				t.Errorf("the fix is %q, want one with %q", d.Findings[0].Fix, tt.fix)
			}
		})
	}
}
