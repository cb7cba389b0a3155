package telemetry_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

type post struct {
	Alert, State, Target, Summary string
	Count                         int
}

// alerts runs Alerts that look every few milliseconds, against a real receiver.
// The returned channel has what it accepts.
func alerts(t *testing.T, edit func(*telemetry.AlertConfig), answer http.HandlerFunc) (*telemetry.Alerts, <-chan post, func()) {
	t.Helper()
	posts := make(chan post, 100)
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if answer != nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
			rec := httptest.NewRecorder()
			if answer(rec, r); rec.Code != 200 {
				w.WriteHeader(rec.Code)
				return
			}
		}
		var p post
		if err := json.Unmarshal(body, &p); err != nil {
			t.Error(err)
		}
		posts <- p
	}))
	t.Cleanup(to.Close)
	cfg := telemetry.AlertConfig{
		URL: to.URL, Key: ed25519.NewKeyFromSeed(make([]byte, 32)),
		Record:   func(context.Context, string) (json.RawMessage, error) { return json.RawMessage(`{}`), nil },
		Levels:   func(context.Context) (telemetry.Levels, bool) { return telemetry.Levels{}, true },
		Plugins:  func() []telemetry.Plugin { return nil },
		DiskFree: func() (uint64, error) { return 1 << 40, nil },
		Log:      slog.New(slog.DiscardHandler),
		Every:    5 * time.Millisecond, Wait: time.Millisecond,
	}
	if edit != nil {
		edit(&cfg)
	}
	a := telemetry.NewAlerts(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = a.Run(ctx) }()
	stop := func() { cancel(); <-ended }
	t.Cleanup(stop)
	return a, posts, stop
}

func next(t *testing.T, posts <-chan post) post {
	t.Helper()
	select {
	case p := <-posts:
		return p
	case <-time.After(30 * time.Second):
		t.Fatal("no alert")
		return post{}
	}
}

// TestAlertsGroupDeadLetters: ten thousand of them are two posts, and all are
// counted.
func TestAlertsGroupDeadLetters(t *testing.T) {
	a, posts, stop := alerts(t, nil, nil)
	a.Dead("plugin:a", "1", "no")
	if p := next(t, posts); p.Alert != "dead_letters" || p.Count != 1 || p.Target != "plugin:a" {
		t.Errorf("first: %+v", p)
	}
	for range 10_000 {
		a.Dead("plugin:a", "2", "no")
	}
	stop()
	if p := next(t, posts); p.Count != 10_000 {
		t.Errorf("the rest: %+v", p)
	}
	if len(posts) > 0 {
		t.Errorf("%d more posts", len(posts))
	}
}

// TestAlertsRetry: a receiver that fails is asked again, and one that goes on
// failing costs a line of the log without the URL.
func TestAlertsRetry(t *testing.T) {
	var tries atomic.Int32
	a, posts, _ := alerts(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1) < 3 {
			w.WriteHeader(500)
		}
	})
	a.Dead("plugin:a", "1", "no")
	if p := next(t, posts); p.Count != 1 || tries.Load() != 3 {
		t.Errorf("%+v after %d tries", p, tries.Load())
	}
	var log bytes.Buffer
	gone := httptest.NewServer(nil)
	gone.Close()
	b, _, stop := alerts(t, func(c *telemetry.AlertConfig) {
		c.URL = gone.URL + "/s3cret"
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	}, nil)
	b.Dead("plugin:a", "1", "no")
	stop()
	if text := log.String(); !strings.Contains(text, "code=alert-lost") || strings.Contains(text, "s3cret") {
		t.Errorf("log: %s", text)
	}
}

// TestAlertsLast: what lasts is told once, and that it is over.
func TestAlertsLast(t *testing.T) {
	var state atomic.Int32
	old := time.Now().Add(-time.Hour)
	_, posts, _ := alerts(t, func(c *telemetry.AlertConfig) {
		c.BacklogAge, c.DiskFloor = time.Minute, 100<<20
		c.Levels = func(context.Context) (l telemetry.Levels, _ bool) {
			if state.Load() == 1 {
				l.Backlog = []telemetry.Backlog{
					{Target: "forward:app", State: "pending", Events: 2, Oldest: time.Now()},
					{Target: "forward:app", State: "retrying", Events: 3, Oldest: old},
				}
			}
			return l, true
		}
		c.DiskFree = func() (uint64, error) {
			if state.Load() == 2 {
				return 1 << 20, nil
			}
			return 1 << 40, nil
		}
		c.Plugins = func() []telemetry.Plugin {
			p := telemetry.Plugin{Name: "a", State: "ready"}
			if state.Load() == 3 {
				p.State = "failed"
			}
			return []telemetry.Plugin{p}
		}
	}, nil)
	for n, want := range []struct{ alert, target, says string }{
		1: {"backlog_age", "forward:app", "5 events wait for forward:app, the oldest for 1h0m"},
		2: {"disk_low", "", "1 MiB are left"},
		3: {"plugin_crash_loop", "plugin:a", "plugin a is failed"},
	} {
		if n == 0 {
			continue
		}
		state.Store(int32(n))
		if p := next(t, posts); p.Alert != want.alert || p.State != "firing" || p.Target != want.target || !strings.Contains(p.Summary, want.says) {
			t.Errorf("got %+v, want %+v", p, want)
		}
		state.Store(0)
		if p := next(t, posts); p.Alert != want.alert || p.State != "resolved" {
			t.Errorf("got %+v, want the end of %s", p, want.alert)
		}
	}
}

// TestAlertsOfGonePlugin: a plugin that was taken away is in no loop any more.
func TestAlertsOfGonePlugin(t *testing.T) {
	var gone atomic.Bool
	_, posts, _ := alerts(t, func(c *telemetry.AlertConfig) {
		c.Plugins = func() []telemetry.Plugin {
			if gone.Load() {
				return nil
			}
			return []telemetry.Plugin{{Name: "a", State: "failed"}}
		}
	}, nil)
	if p := next(t, posts); p.State != "firing" {
		t.Errorf("got %+v", p)
	}
	gone.Store(true)
	if p := next(t, posts); p.Alert != "plugin_crash_loop" || p.Target != "plugin:a" || p.State != "resolved" {
		t.Errorf("got %+v", p)
	}
}

// TestAlertsKey: alerts are signed with the key of the moment.
func TestAlertsKey(t *testing.T) {
	keys := make(chan ed25519.PublicKey, 1)
	first, second := ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	a, posts, _ := alerts(t, nil, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, k := range []ed25519.PrivateKey{first, second} {
			public := k.Public().(ed25519.PublicKey)
			ring, err := webhook.ParseKeys(base64.StdEncoding.EncodeToString(public))
			if err != nil {
				t.Error(err)
			}
			v := webhook.Verifier{Keys: ring}
			if _, err := v.Verify(r.Header, body); err == nil {
				keys <- public
			}
		}
	})
	a.Dead("plugin:a", "1", "no")
	next(t, posts)
	if got := <-keys; !got.Equal(first.Public()) {
		t.Error("the first alert is not signed with the first key")
	}
	a.SetKey(second)
	a.Dead("plugin:b", "1", "no")
	next(t, posts)
	if got := <-keys; !got.Equal(second.Public()) {
		t.Error("the second alert is not signed with the second key")
	}
}
