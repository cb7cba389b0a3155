// Package apps runs the example apps behind the real sidecar, as a user would:
// a Flask app, which checks signatures with a general library, and an Express
// app, which lets Telnyx's own SDK do it.
//
//	make apps
//
// They need Python and Node, so without HOOKSWITCH_APPS=1, which make apps sets,
// they are skipped.
package apps

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/program"
	"github.com/hookswitch/hookswitch/internal/testkit/until"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

const root = "../../.."

// patience bounds every wait. It is only spent on failure.
const patience = 60 * time.Second

func TestFlask(t *testing.T) {
	asked(t)
	python := pythonWith(t, "flask", "cryptography")
	app, err := filepath.Abs(root + "/examples/flask/app.py")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "flask", lateWords, python, app)
}

func TestExpress(t *testing.T) {
	asked(t)
	installed := os.Getenv("HOOKSWITCH_NODE_APPS") // where make apps ran npm ci
	run(t, "express", func(*stage) {}, "node", filepath.Join(installed, "app.mjs"))
}

// TestMigrating runs the apps of MIGRATING.md: each takes what is signed, be it
// JSON or a form, and nothing else.
func TestMigrating(t *testing.T) {
	asked(t)
	page, err := os.ReadFile(root + "/middleware/MIGRATING.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := regexp.MustCompile("(?s)```(js|python)\n(.*?)```").FindAllSubmatch(page, -1)
	if len(programs) != 2 {
		t.Fatalf("MIGRATING.md has %d apps, want 2", len(programs))
	}
	for _, m := range programs {
		t.Run(string(m[1]), func(t *testing.T) {
			dir, err := os.MkdirTemp(os.Getenv("HOOKSWITCH_NODE_APPS"), "migrating-") // Node looks for packages above it
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			port := freePort(t)
			file, command := filepath.Join(dir, "app.mjs"), []string{"node", "app.mjs"}
			if string(m[1]) == "python" {
				file, command = filepath.Join(dir, "app.py"), []string{"python3", "-m", "flask", "--app", "app", "run", "--port", port}
			}
			if err := os.WriteFile(file, m[2], 0o600); err != nil {
				t.Fatal(err)
			}
			public, private, err := ed25519.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			s := &stage{t: t, dir: dir, url: "http://127.0.0.1:" + port}
			app := s.start("app", append(os.Environ(), "PORT="+port, "TELNYX_PUBLIC_KEY="+base64.StdEncoding.EncodeToString(public)), command...)
			s.until("the app", func() error {
				c, err := net.Dial("tcp", "127.0.0.1:"+port)
				if err == nil {
					c.Close()
				}
				return err
			})
			for _, tt := range []struct {
				contentType, body string
				signed            bool
				want              int
			}{
				{"application/json", `{"data":{"event_type":"message.received"}}`, true, 200},
				{"application/json; charset=utf-8", `{"event_type":"call_answered"}`, true, 200},
				{"application/x-www-form-urlencoded", "CallSid=CA1&CallStatus=completed", true, 200},
				{"application/x-www-form-urlencoded", "CallSid=CA1&CallStatus=completed", false, 401},
			} {
				req, err := http.NewRequest(http.MethodPost, s.url+"/webhooks", strings.NewReader(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", tt.contentType)
				if tt.signed {
					timestamp, signature := webhook.Sign(private, time.Now(), []byte(tt.body))
					req.Header.Set(webhook.HeaderTimestamp, timestamp)
					req.Header.Set(webhook.HeaderSignature, signature)
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if res.StatusCode != tt.want {
					t.Errorf("%s, signed %v: answered %d, want %d", tt.contentType, tt.signed, res.StatusCode, tt.want)
				}
			}
			stop(t, app)
		})
	}
}

func asked(t *testing.T) {
	t.Helper()
	if os.Getenv("HOOKSWITCH_APPS") == "" {
		t.Skip("needs Python and Node: run it with make apps")
	}
}

// run is the story of an app: events reach it once each, also those that were
// sent while it was down, and nothing else does. Then comes more.
func run(t *testing.T, name string, more func(*stage), command ...string) {
	dir, hookswitch := t.TempDir(), hookswitch(t)
	port := freePort(t)
	url := "http://127.0.0.1:" + port
	s := &stage{t: t, dir: dir, hookswitch: hookswitch, url: url}

	sidecar := s.start("sidecar", append(os.Environ(), "HOOKSWITCH_RETRY_SCHEDULE=50ms,100ms,100ms,200ms,200ms,500ms,500ms,1s,1s,2s,2s,5s,5s,5s", "HOOKSWITCH_STORE=file:"+dir+"/data"),
		hookswitch, "dev", "--forward-to", url+"/webhooks", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--plugins", dir+"/none")
	s.until("the sidecar", s.sidecarReady)
	key := strings.TrimSpace(s.run("keys", "forward"))
	env := append(os.Environ(), "TELNYX_PUBLIC_KEY="+key, "PORT="+port, "INBOX="+filepath.Join(dir, "inbox"))
	app := s.start(name, env, command...)
	s.until("the app", s.appReady)

	s.run("trigger", "message.received", "--set", "payload.text=one")
	s.run("trigger", "call.hangup") // of no interest to the app, which says 200
	s.until("the first message", s.inbox("one"))

	stop(t, app)
	s.run("trigger", "message.received", "--set", "payload.text=two")
	s.run("trigger", "message.received", "--set", "payload.text=three")
	s.until("a failed attempt", func() error {
		if out := s.run("events", "list", "--status", "retrying", "-o", "json"); !strings.Contains(out, "message.received") {
			return errors.New("no event is being retried")
		}
		return nil
	})
	app = s.start(name, env, command...)
	s.until("what came while the app was down", s.inbox("one", "three", "two"))

	// All of them once more: nothing changes.
	s.run("replay", "--filter", "type=message.received")
	s.until("the replay", func() error {
		if n := s.attempts(); n < 6 {
			return fmt.Errorf("%d attempts at messages that succeeded, want 6", n)
		}
		return nil
	})
	if err := s.inbox("one", "three", "two")(); err != nil {
		t.Errorf("after the replay: %v", err)
	}
	more(s)

	// A form of TeXML is genuine, though it is not JSON.
	s.run("trigger", "texml.call.completed")
	s.until("the form", func() error {
		if out := s.run("events", "list", "--type", "texml.*", "--status", "done", "-o", "json"); !strings.Contains(out, "texml.call.completed") {
			return errors.New("the app has not taken it")
		}
		return nil
	})

	// Only the sidecar is heard.
	res, err := http.Post(url+"/webhooks", "application/json", strings.NewReader(`{"data":{"event_type":"message.received"}}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unsigned webhook is answered %d", res.StatusCode)
	}
	stop(t, app)
	stop(t, sidecar)
}

// lateWords is the end of the story for an app that keeps who has opted out:
// what was said last counts, in whatever order it comes.
func lateWords(s *stage) {
	heard := []string{"one", "three", "two"}
	for _, step := range []struct {
		text, at string
		out      int
	}{
		{"STOP", "2026-11-01T12:05:00.5Z", 1},
		{"START ", "2026-11-01T12:04:00Z", 1}, // of before, and late
		{"START", "2026-11-01T12:05:00.75+00:00", 0},
		{"STOP ", "2026-11-01T12:05:00Z", 0},
		{" STOP", "2026-11-01T12:06:00Z", 1},
	} {
		s.run("trigger", "message.received", "--set", "payload.text="+step.text, "--set", "occurred_at="+step.at)
		heard = append(heard, step.text)
		s.until(step.text+" of "+step.at, s.inbox(heard...))
		var now struct {
			OptedOut []string `json:"opted_out"`
		}
		if err := get(s.url+"/messages", &now); err != nil {
			s.t.Fatal(err)
		}
		if len(now.OptedOut) != step.out {
			s.t.Errorf("after %q of %s %q have opted out", step.text, step.at, now.OptedOut)
		}
	}
}

// hookswitch returns the path of the program, which is built once.
func hookswitch(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	programs string // folder of what TestMain removes
	built    = sync.OnceValues(func() (string, error) {
		path := filepath.Join(programs, "hookswitch")
		build := exec.Command("go", "build", "-o", path, "./sidecar/cmd/hookswitch")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build: %w\n%s", err, out)
		}
		return path, nil
	})
)

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "hookswitch-apps-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// stage is where a story takes place.
type stage struct {
	t          *testing.T
	dir        string // of everything
	hookswitch string // path
	url        string // of the app
}

// run runs a command of hookswitch and returns its output.
func (s *stage) run(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.hookswitch, args...)
	cmd.Env = append(os.Environ(), "HOOKSWITCH_STORE=file:"+s.dir+"/data")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ee, ok := errors.AsType[*exec.ExitError](err); ok && ee.ExitCode() == 3 {
		return "" // found nothing
	}
	if err != nil {
		s.t.Fatalf("hookswitch %v: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

// start starts a program, whose output is shown if the test fails.
func (s *stage) start(name string, env []string, command ...string) *exec.Cmd {
	s.t.Helper()
	return program.Start(s.t, name, s.dir, env, command...)
}

func stop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the server of Flask is ended by the signal itself
}

func (s *stage) until(what string, done func() error) {
	s.t.Helper()
	until.Nil(s.t, patience, what, done)
}

func (s *stage) sidecarReady() error { return get(s.admin()+"/readyz", nil) }

// admin returns the address of the sidecar's API, or nothing before it is there.
func (s *stage) admin() string {
	var here struct{ Admin string }
	if text, err := os.ReadFile(s.dir + "/data/run.json"); err == nil {
		_ = json.Unmarshal(text, &here) // half of it: not there yet
	}
	return here.Admin
}

func (s *stage) appReady() error { return get(s.url+"/", nil) }

// inbox returns a check that the app has exactly these texts, in any order.
func (s *stage) inbox(want ...string) func() error {
	return func() error {
		var inbox struct{ Messages []struct{ Text string } }
		if err := get(s.url+"/messages", &inbox); err != nil {
			return err
		}
		got := make(map[string]int)
		for _, m := range inbox.Messages {
			got[m.Text]++
		}
		if len(inbox.Messages) != len(want) {
			return fmt.Errorf("the inbox has %v, want each of %v once", got, want)
		}
		for _, text := range want {
			if got[text] != 1 {
				return fmt.Errorf("the inbox has %v, want each of %v once", got, want)
			}
		}
		return nil
	}
}

// attempts counts the attempts at messages that the app took.
func (s *stage) attempts() (n int) {
	s.t.Helper()
	for line := range strings.Lines(s.run("events", "export", "--type", "message.received")) {
		var e struct{ Attempts []struct{ Outcome string } }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatalf("events export: %v: %s", err, line)
		}
		for _, a := range e.Attempts {
			if a.Outcome == "done" {
				n++
			}
		}
	}
	return n
}

func get(url string, into any) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, res.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // an app keeps its port when it is restarted
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
