package apps

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/program"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// A recipe is one of examples/recipes, and how it is started in a folder that has
// all of them.
type recipe struct {
	name    string
	command []string
	args    func(port string) []string // for those that do not read PORT
	node    int                        // the oldest Node that its packages are for
}

// recipes returns the recipes. What runs them has to be there: make apps and
// .ci/run install it.
func recipes(t *testing.T) []recipe {
	t.Helper()
	python := pythonWith(t, "django", "fastapi", "uvicorn", "cryptography")
	return []recipe{
		{name: "fetch", command: []string{"node", "hono.mjs"}, node: 20},
		{name: "h3", command: []string{"node", "h3.mjs"}, node: 20},
		{name: "fastify", command: []string{"node", "fastify.mjs"}},
		{name: "express", command: []string{"node", "express.mjs"}},
		{name: "express4", command: []string{"node", "express4.mjs"}},
		{name: "nest", command: []string{"node", "out/nest.js"}, node: 20},
		{name: "lambda", command: []string{"node", "lambda-server.mjs"}},
		{name: "php", command: []string{"php", "-d", "display_errors=1"}, args: func(port string) []string {
			return []string{"-S", "127.0.0.1:" + port, "webhook.php"}
		}},
		{name: "django", command: []string{python, "django_app.py"}, args: func(port string) []string {
			return []string{"runserver", "--noreload", "127.0.0.1:" + port}
		}},
		{name: "fastapi", command: []string{python, "-m", "uvicorn", "fastapi_app:app", "--log-level", "warning"}, args: func(port string) []string {
			return []string{"--port", port}
		}},
		{name: "sinatra", command: []string{"ruby", "sinatra_app.rb"}},
	}
}

// pythonWith returns a Python that has some packages: that of the user, or the
// system's.
func pythonWith(t *testing.T, packages ...string) string {
	t.Helper()
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(candidate, "-c", "import "+strings.Join(packages, ", ")).Run() == nil {
			return candidate
		}
	}
	t.Fatalf("no python3 here has %s (Debian: python3-NAME)", strings.Join(packages, ", "))
	return ""
}

// bodies are what the sidecar is sent for the recipes, by the names of their files:
// each is genuine, and each is what some framework takes amiss.
func bodies() map[string][]byte {
	event := func(id, text string) []byte {
		return fmt.Appendf(nil, "{\n  \"data\": {\n    \"event_type\": \"message.received\",\n    \"id\": %q,\n    \"payload\": {\"text\": %q},\n    \"record_type\": \"event\"\n  }\n}", id, text)
	}
	return map[string][]byte{
		"small.json":    event("small", "hi"),
		"20kB.json":     event("20kB", strings.Repeat("x", 20_000)),
		"150kB.json":    event("150kB", strings.Repeat("x", 150_000)),
		"space.json":    []byte("\r\n{ \"data\" :{\"id\":\t\"space\" ,\"event_type\": \"call.hangup\",\"payload\":{ \"n\": 1.0e2, \"s\":\"\\u0041\\/\" } } }\n\n"),
		"utf8.json":     event("utf8", "Grüße, 東京 🚀 é \u2028"),
		"twice.json":    []byte(`{"data":{"id":"twice","id":"twice","event_type":"call.hangup","payload":{"a":1,"a":2}}}`),
		"form.form":     []byte("CallSid=v3%3Aform&CallStatus=completed&From=%2B13125550100&Text=a+b%20c&Empty="),
		"unknown.json":  []byte(`{"data":{"id":"unknown","event_type":"thing.happened","payload":{}}}`),
		"noobject.json": []byte(`{"data":null,"meta":{"attempt":1}}`),
	}
}

// TestRecipes runs every recipe behind one sidecar. Each takes all that is genuine,
// in the bytes in which it was signed, nothing else, and says so if it fails.
func TestRecipes(t *testing.T) {
	asked(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(public)
	s := &stage{t: t, dir: t.TempDir(), hookswitch: hookswitch(t)}
	folder := recipeFolder(t)

	env := append(os.Environ(), "HOOKSWITCH_STORE=file:"+s.dir+"/data", "HOOKSWITCH_FORWARD_KEY="+base64.StdEncoding.EncodeToString(private.Seed()))
	urls := make(map[string]string)
	for i, r := range recipes(t) {
		if old := nodeMajor(t); old < r.node {
			t.Run(r.name, func(t *testing.T) { t.Skipf("its packages need Node %d, and this is %d", r.node, old) })
			continue
		}
		port := freePort(t)
		urls[r.name] = "http://127.0.0.1:" + port + "/webhooks"
		env = append(env, fmt.Sprintf("HOOKSWITCH_ROUTE_%d_MATCH=*", i), fmt.Sprintf("HOOKSWITCH_ROUTE_%d_NAME=%s", i, r.name),
			fmt.Sprintf("HOOKSWITCH_ROUTE_%d_TO=%s", i, urls[r.name]))
		s.startRecipe(r, folder, port, key)
	}
	for name, url := range urls {
		s.until(name, func() error { return listens(url) })
	}
	sidecar := s.start("sidecar", env, s.hookswitch, "dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--plugins", s.dir+"/none")
	s.until("the sidecar", s.sidecarReady)
	for name, body := range bodies() {
		file := filepath.Join(s.dir, name)
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		s.run("trigger", "--from", file)
	}
	s.until("all bodies at all apps", s.nothingLeft)
	s.delivered(len(bodies()), urls)
	stop(t, sidecar)

	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			refuses(t, url, private)
			s := *s
			s.t = t
			d := s.doctor(folder, []string{"HOOKSWITCH_FORWARD_KEY=" + base64.StdEncoding.EncodeToString(private.Seed())}, url)
			if !d.OK || len(d.Findings) > 0 || len(d.Checks) < 18 {
				t.Errorf("doctor: %+v", d)
			}
		})
	}
}

// TestSameVersions: make apps installs the packages of the recipes for the Express
// app, too.
func TestSameVersions(t *testing.T) {
	read := func(folder string) (all map[string]string) {
		var lock struct {
			Packages map[string]struct{ Version string }
		}
		text, err := os.ReadFile(root + "/examples/" + folder + "/package-lock.json")
		if err == nil {
			err = json.Unmarshal(text, &lock)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = make(map[string]string)
		for path, p := range lock.Packages {
			all[path[max(0, strings.LastIndex(path, "node_modules/")):]+" "+p.Version] = path
		}
		return all
	}
	recipes := read("recipes")
	for name := range read("express") {
		if _, same := recipes[name]; !same && name != " " {
			t.Errorf("the Express app has %s, and the recipes do not", name)
		}
	}
}

// nothingLeft returns an error until the sidecar has nothing to do.
func (s *stage) nothingLeft() error {
	var status struct {
		Targets []struct {
			Target                  string
			Pending, Retrying, Dead int
		}
	}
	if err := get(s.admin()+"/api/v1/status", &status); err != nil {
		return err
	}
	for _, target := range status.Targets {
		if n := target.Pending + target.Retrying; n > 0 {
			return fmt.Errorf("%s waits for %d", target.Target, n)
		}
	}
	return nil
}

// delivered checks that each of some events was taken by each app, and refused by
// none.
func (s *stage) delivered(events int, apps map[string]string) {
	s.t.Helper()
	took := make(map[string]int)
	for line := range strings.Lines(s.run("events", "export")) {
		var e struct {
			ID       string
			Attempts []struct {
				Target, Outcome string
				Status          int `json:"response_status"`
			}
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatalf("events export: %v: %s", err, line)
		}
		for _, a := range e.Attempts {
			if a.Outcome != "done" {
				s.t.Errorf("%s: %s: %s, answered %d", a.Target, e.ID, a.Outcome, a.Status)
			}
			took[strings.TrimPrefix(a.Target, "forward:")]++
		}
	}
	for name := range apps {
		if took[name] != events {
			s.t.Errorf("%s was sent %d events, want %d", name, took[name], events)
		}
	}
}

// refuses checks that an app takes nothing that is not signed, and does not say that
// it has handled what it has not.
func refuses(t *testing.T, url string, key ed25519.PrivateKey) {
	genuine := []byte(`{"data":{"id":"1","event_type":"message.received","payload":{}}}`)
	now := time.Now()
	for _, tt := range []struct {
		name         string
		at           time.Time
		signed, sent []byte
		unsigned     bool
		want         []int
	}{
		{name: "genuine", at: now, signed: genuine, sent: genuine, want: []int{200}},
		{name: "another body", at: now, signed: genuine, sent: append(slices.Clone(genuine), ' '), want: []int{401}},
		{name: "no signature", sent: genuine, unsigned: true, want: []int{401}},
		{name: "ten minutes old", at: now.Add(-10 * time.Minute), signed: genuine, sent: genuine, want: []int{401}},
		{name: "what makes it fail", at: now, signed: genuine[:20], sent: genuine[:20], want: []int{500, 502, 400}},
		{name: "genuine, after that", at: now, signed: genuine, sent: genuine, want: []int{200}},
	} {
		req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(tt.sent))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if !tt.unsigned {
			timestamp, signature := webhook.Sign(key, tt.at, tt.signed)
			req.Header.Set(webhook.HeaderTimestamp, timestamp)
			req.Header.Set(webhook.HeaderSignature, signature)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		res.Body.Close()
		if !slices.Contains(tt.want, res.StatusCode) {
			t.Errorf("%s: answered %d, want one of %v", tt.name, res.StatusCode, tt.want)
		}
	}
}

// startRecipe starts a recipe, which listens on a port.
func (s *stage) startRecipe(r recipe, folder, port, key string) *exec.Cmd {
	s.t.Helper()
	command := r.command
	if r.args != nil {
		command = append(slices.Clone(command), r.args(port)...)
	}
	return program.Start(s.t, r.name, folder, append(os.Environ(), "PORT="+port, "TELNYX_PUBLIC_KEY="+key, "PYTHONDONTWRITEBYTECODE=1"), command...)
}

// recipeFolder returns a folder with the recipes, from where Node finds their
// packages. It is removed when the test ends.
func recipeFolder(t *testing.T) string {
	t.Helper()
	installed := os.Getenv("HOOKSWITCH_NODE_APPS") // where make apps ran npm ci
	if installed == "" {
		t.Fatal("HOOKSWITCH_NODE_APPS is not set: run it with make apps or make recipes")
	}
	folder, err := os.MkdirTemp(installed, "recipes-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	for _, from := range []string{root + "/examples/recipes", "testdata"} {
		if err := os.CopyFS(folder, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	express, err := os.ReadFile(filepath.Join(folder, "express.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	express = bytes.Replace(express, []byte("from 'express'"), []byte("from 'express4'"), 1)
	if err := os.WriteFile(filepath.Join(folder, "express4.mjs"), express, 0o600); err != nil {
		t.Fatal(err)
	}
	compile := exec.Command("node", filepath.Join(installed, "node_modules/typescript/bin/tsc"))
	compile.Dir = folder
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("nest.ts: %v\n%s", err, out)
	}
	return folder
}

func listens(url string) error {
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/webhooks")
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		err = c.Close()
	}
	return err
}

func nodeMajor(t *testing.T) (major int) {
	t.Helper()
	out, err := exec.Command("node", "--version").Output()
	if _, scanned := fmt.Sscanf(string(out), "v%d.", &major); errors.Join(err, scanned) != nil {
		t.Fatalf("node --version: %v %v: %s", err, scanned, out)
	}
	return major
}
