package sidecar_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// soon bounds every wait of a test. Nothing but a failure waits for it.
const soon = 30 * time.Second

// running is a whole sidecar: its listeners, a real store, a plugin, and an app
// that it forwards to.
type running struct {
	t   *testing.T
	at  instance.Info
	key ed25519.PrivateKey // that webhooks are signed with
	log *lines

	forwardKey string // that forwarded requests and alerts are verified with

	stop func() // ends it and waits

	mu       sync.Mutex
	requests []*http.Request // guarded by mu: that the app got
}

// start runs a sidecar. The app answers with the status in the path: 200 if
// there is none.
func start(t *testing.T, edit func(*config.Config)) *running {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := webhook.NewKeyRing(webhook.Key{Label: "main", Public: public})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, key: private, log: new(lines)}
	app := httptest.NewServer(http.HandlerFunc(r.serveApp))
	t.Cleanup(app.Close)
	t.Setenv(asPlugin, "1")
	cfg, err := config.Load()
	os.Unsetenv(asPlugin)
	if err != nil {
		t.Fatal(err)
	}
	cfg.PublicKey = config.Keys{Ring: ring}
	cfg.Store = "file:" + t.TempDir()
	cfg.Listen, cfg.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.PluginDir, cfg.PluginEnv = pluginDir(t), []string{asPlugin}
	if os.Geteuid() == 0 {
		cfg.PluginUser = "root"
	}
	cfg.ForwardTo = app.URL
	cfg.RetrySchedule = nil
	cfg.ShutdownTimeout = config.Duration(5 * time.Second)
	if edit != nil {
		edit(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	log, err := telemetry.NewLogger(r.log, "json", slog.LevelDebug)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sidecar.New(ctx, cfg, sidecar.Options{Version: "test", Log: log})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	r.at, r.forwardKey = s.Addresses(), s.ForwardKey()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the sidecar ended with %v", err)
		}
	})
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("log of the sidecar:\n%s", r.log)
		}
	})
	r.eventually("readiness", func() bool { status, _ := r.get("/readyz"); return status == 200 })
	return r
}

// pluginDir returns a directory with one plugin, "echo".
func pluginDir(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hookswitch-plugin-echo"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (r *running) serveApp(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.requests = append(r.requests, req)
	r.mu.Unlock()
	if bytes.Contains(body, []byte("refuse me")) {
		http.Error(w, "no", http.StatusGone)
	}
}

// got returns the requests that the app got.
func (r *running) got() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*http.Request(nil), r.requests...)
}

// send sends a sample event with an id of its own, which it returns, and edit
// of its body.
func (r *running) send(eventType string, edit func(*http.Request)) string {
	r.t.Helper()
	body, ok := event.Sample(eventType)
	if !ok {
		body = []byte(`{"data":{"event_type":"` + eventType + `","id":"x","record_type":"event","payload":{}}}`)
	}
	id := uuid.NewString()
	old := webhook.Decode("application/json", body).ID
	body = bytes.ReplaceAll(body, []byte(`"`+old+`"`), []byte(`"`+id+`"`))
	if status := r.post(body, edit); status != 200 {
		r.t.Fatalf("%s was answered %d", eventType, status)
	}
	return id
}

// post sends a signed body and returns the status of the answer.
func (r *running) post(body []byte, edit func(*http.Request)) int {
	r.t.Helper()
	req, err := http.NewRequest("POST", r.at.Webhooks, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	timestamp, signature := webhook.Sign(r.key, time.Now(), body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(webhook.HeaderTimestamp, timestamp)
	req.Header.Set(webhook.HeaderSignature, signature)
	if edit != nil {
		edit(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// get returns what the admin listener answers.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	resp, err := http.Get(r.at.Admin + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually waits until something is so.
func (r *running) eventually(what string, so func() bool) {
	r.t.Helper()
	eventually(r.t, what, so)
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(soon)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, soon)
		}
	}
}

// lines is a log in memory.
type lines struct{ output.Buffer }

// with returns the lines that contain a text.
func (l *lines) with(text string) (found []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
