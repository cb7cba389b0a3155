package forward_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = ed25519.NewKeyFromSeed([]byte("an Ed25519 seed has 32 bytes ..."))

func newForward(t *testing.T, cfg forward.Config) *forward.Forward {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = key
	}
	f, err := forward.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func newTask() delivery.Task {
	return delivery.Task{
		Job: delivery.Job{ID: 7, Attempts: 2},
		Event: &delivery.Event{
			DeliveryID: "f5586561-8ff0-4291-a0ac-84fe544797bd",
			ID:         "c9c0797e-901d-4349-a33c-c2c8f31a92c2",
			Type:       "message.sent",
			Method:     "POST",
			Header: [][2]string{
				{"Content-Type", "application/json; charset=utf-8"},
				{"telnyx-timestamp", "1"},
				{"Telnyx-Signature-Ed25519", "old"},
				{"Telnyx-Future", "kept"},
				{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
				{"X-Forwarded-For", "203.0.113.9"}, {"Forwarded", "for=203.0.113.9"}, {"X-Real-Ip", "203.0.113.9"},
				{"Authorization", "Bearer x"}, {"Cookie", "a=b"}, {"Cf-Ray", "1"}, {"Idempotency-Key", "1"},
				{"Host", "hooks.example.com"}, {"Content-Length", "3"}, {"Accept-Encoding", "gzip"},
				{"Connection", "close"}, {"Transfer-Encoding", "chunked"}, {"Expect", "100-continue"},
				{"User-Agent", "telnyx-webhooks"},
				{"Telnyx-Odd", "a\nb"},
			},
			Body:     []byte("{\"data\": {}}  \n\x00\xff"),
			SignedAt: time.Unix(1700000000, 0),
		},
	}
}

// deliver makes one attempt, which must be made.
func deliver(t *testing.T, f *forward.Forward, task delivery.Task) delivery.Attempt {
	t.Helper()
	a, err := f.Deliver(t.Context(), task)
	if err != nil {
		t.Fatalf("deliver: %v", err)
	}
	if a.StartedAt.IsZero() || a.FinishedAt.Before(a.StartedAt) {
		t.Errorf("the attempt lasted from %v to %v", a.StartedAt, a.FinishedAt)
	}
	return a
}

// seen is a request as an application received it.
type seen struct {
	method, uri, host string
	header            http.Header
	body              []byte
	length            int64
	user, password    string
}

// app is an application that keeps the last request and answers with handler.
func app(t *testing.T, handler http.HandlerFunc) (url string, last *seen) {
	t.Helper()
	last = new(seen)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		*last = seen{method: r.Method, uri: r.RequestURI, host: r.Host, header: r.Header, body: body, length: r.ContentLength}
		last.user, last.password, _ = r.BasicAuth()
		handler(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, last
}

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func TestRequest(t *testing.T) {
	url, last := app(t, answer(200))
	f := newForward(t, forward.Config{URL: url + "/webhooks?tenant=1#fragment", UserAgent: "hookswitch/1.2.3"})
	task := newTask()
	before := time.Now().Unix()
	a := deliver(t, f, task)

	if last.method != "POST" || last.uri != "/webhooks?tenant=1" || last.host != strings.TrimPrefix(url, "http://") {
		t.Errorf("request: %s %s to %s", last.method, last.uri, last.host)
	}
	if !bytes.Equal(last.body, task.Event.Body) || last.length != int64(len(task.Event.Body)) {
		t.Errorf("body %q with Content-Length %d, want %q", last.body, last.length, task.Event.Body)
	}
	timestamp := checkSignature(t, last)
	if timestamp < before || timestamp > time.Now().Unix() {
		t.Errorf("timestamp %d is not of now", timestamp)
	}
	sent := last.header.Clone()
	sent.Del("Telnyx-Timestamp")
	sent.Del("Telnyx-Signature-Ed25519")
	if diff := cmp.Diff(http.Header{
		"Content-Type":                  {"application/json; charset=utf-8"},
		"Content-Length":                {"17"},
		"Telnyx-Future":                 {"kept"},
		"Traceparent":                   {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		"Webhook-Id":                    {task.Event.ID},
		"Hookswitch-Delivery-Id":        {task.Event.DeliveryID},
		"Hookswitch-Attempt":            {"3"},
		"Hookswitch-Original-Timestamp": {"1700000000"},
		"User-Agent":                    {"hookswitch/1.2.3"},
	}, sent); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}

	recorded := http.Header{}
	for _, p := range a.RequestHeader {
		recorded.Add(p[0], p[1])
	}
	want := last.header.Clone()
	want.Set("Host", last.host)
	if diff := cmp.Diff(want, recorded); diff != "" {
		t.Errorf("recorded headers are not those sent (-sent +recorded):\n%s", diff)
	}
	if a.RequestURL != url+"/webhooks?***" {
		t.Errorf("recorded URL: %s", a.RequestURL)
	}
}

// checkSignature verifies a request as an application would, with nothing but
// crypto/ed25519, and returns its timestamp.
func checkSignature(t *testing.T, r *seen) int64 {
	t.Helper()
	timestamps, signatures := r.header["Telnyx-Timestamp"], r.header["Telnyx-Signature-Ed25519"]
	if len(timestamps) != 1 || len(signatures) != 1 {
		t.Fatalf("signature headers: %q, %q", timestamps, signatures)
	}
	signature, err := base64.StdEncoding.DecodeString(signatures[0])
	if err != nil {
		t.Fatal(err)
	}
	message := append([]byte(timestamps[0]+"|"), r.body...)
	if !ed25519.Verify(key.Public().(ed25519.PublicKey), message, signature) {
		t.Error("the signature does not fit")
	}
	seconds, err := strconv.ParseInt(timestamps[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}

func TestRequestOfOddEvents(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(e *delivery.Event)
		check  func(r *seen) bool
	}{
		{"without an id, the delivery's is sent", func(e *delivery.Event) { e.ID = "" },
			func(r *seen) bool { return r.header.Get("Webhook-Id") == newTask().Event.DeliveryID }},
		{"an id that is no header value is replaced", func(e *delivery.Event) { e.ID = "a\r\nX-Evil: 1" },
			func(r *seen) bool {
				return r.header.Get("Webhook-Id") == newTask().Event.DeliveryID && r.header.Get("X-Evil") == ""
			}},
		{"an endless id is replaced", func(e *delivery.Event) { e.ID = strings.Repeat("a", 1000) },
			func(r *seen) bool { return r.header.Get("Webhook-Id") == newTask().Event.DeliveryID }},
		{"an empty body is sent as such", func(e *delivery.Event) { e.Body = nil },
			func(r *seen) bool { return r.length == 0 && r.header.Get("Content-Length") == "0" }},
		{"a body of 1 MiB", func(e *delivery.Event) { e.Body = bytes.Repeat([]byte("x"), 1<<20) },
			func(r *seen) bool { return len(r.body) == 1<<20 }},
		{"another method is kept", func(e *delivery.Event) { e.Method = "PUT" },
			func(r *seen) bool { return r.method == "PUT" }},
		{"without a method it is POST", func(e *delivery.Event) { e.Method = "" },
			func(r *seen) bool { return r.method == "POST" }},
		{"without the signer's time there is no such header", func(e *delivery.Event) { e.SignedAt = time.Time{} },
			func(r *seen) bool { return len(r.header["Hookswitch-Original-Timestamp"]) == 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, last := app(t, answer(200))
			task := newTask()
			tt.change(task.Event)
			if a := deliver(t, newForward(t, forward.Config{URL: url}), task); a.Outcome != delivery.OutcomeDone {
				t.Errorf("attempt: %+v", a)
			}
			checkSignature(t, last)
			if !tt.check(last) {
				t.Errorf("request: %s, %d bytes, %v", last.method, len(last.body), last.header)
			}
		})
	}
}

func TestPasswordIsSentAndNeverShown(t *testing.T) {
	const password = "s3cr3t"
	url, last := app(t, answer(500))
	var log bytes.Buffer
	f := newForward(t, forward.Config{
		URL: strings.Replace(url, "http://", "http://app:"+password+"@", 1) + "?token=" + password,
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	a := deliver(t, f, newTask())
	if last.user != "app" || last.password != password {
		t.Errorf("the application got user %q, password %q", last.user, last.password)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte("app:" + password))
	for _, p := range append(a.RequestHeader, [2]string{a.RequestURL, a.Error}, [2]string{log.String(), ""}) {
		for _, secret := range []string{password, encoded} {
			if strings.Contains(p[0]+p[1], secret) {
				t.Errorf("the password is shown in %q", p)
			}
		}
	}
	if log.Len() == 0 {
		t.Error("nothing was logged")
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  forward.Config
		want string
	}{
		{"no URL", forward.Config{Key: key}, "no URL"},
		{"no scheme", forward.Config{Key: key, URL: "localhost:5000"}, "http://"},
		{"another scheme", forward.Config{Key: key, URL: "ftp://u:secret@a/"}, `"ftp"`},
		{"no host", forward.Config{Key: key, URL: "http:///path"}, "no host"},
		{"a URL that is none", forward.Config{Key: key, URL: "http://u:sec ret@%zz"}, "percent-encoded"},
		{"no key", forward.Config{URL: "http://a"}, "0 bytes, not 64"},
		{"half a key", forward.Config{URL: "http://a", Key: key[:32]}, "32 bytes, not 64"},
		{"a pattern that is none", forward.Config{Key: key, URL: "http://a", Patterns: []string{"a*b"}}, "a*b"},
		{"a negative timeout", forward.Config{Key: key, URL: "http://a", Timeout: -1}, "negative"},
		{"a name with a colon", forward.Config{Key: key, URL: "http://a", Name: "forward:a"}, "colon"},
	} {
		_, err := forward.New(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want %q in it", tt.name, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec ret")) {
			t.Errorf("%s: the error %q shows the password", tt.name, err)
		}
	}
	f := newForward(t, forward.Config{URL: "http://127.0.0.1"})
	if f.Name() != "forward:default" || !cmp.Equal(f.Patterns(), []string{"*"}) {
		t.Errorf("defaults: %s, %v", f.Name(), f.Patterns())
	}
	f = newForward(t, forward.Config{URL: "http://127.0.0.1", Name: "crm", Patterns: []string{"message.*"}})
	if f.Name() != "forward:crm" || !cmp.Equal(f.Patterns(), []string{"message.*"}) {
		t.Errorf("as configured: %s, %v", f.Name(), f.Patterns())
	}
}

// Connections are used again whatever the application answers, as long as the
// answer has a reasonable size.
func TestConnectionsAreKept(t *testing.T) {
	for _, size := range []int{0, 100, 200_000} {
		url, _ := app(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, size)) })
		f := newForward(t, forward.Config{URL: url})
		for i := range 3 {
			reused := false
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
			})
			if _, err := f.Deliver(ctx, newTask()); err != nil {
				t.Fatal(err)
			}
			if reused != (i > 0) {
				t.Errorf("%d bytes, request %d: connection reused %v", size, i+1, reused)
			}
		}
	}
}

func TestEndedContext(t *testing.T) {
	t.Run("before the attempt nothing is sent", func(t *testing.T) {
		url, last := app(t, answer(200))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if a, err := newForward(t, forward.Config{URL: url}).Deliver(ctx, newTask()); err == nil {
			t.Errorf("attempt: %+v", a)
		}
		if last.method != "" {
			t.Error("the application was called")
		}
	})
	t.Run("while connecting it is no attempt", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{ConnectStart: func(string, string) { cancel() }})
		a, err := newForward(t, forward.Config{URL: closedPort(t)}).Deliver(ctx, newTask())
		if err != context.Canceled {
			t.Errorf("attempt: %+v, error %v", a, err)
		}
	})
	t.Run("while waiting for the answer it may have been handled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		url, _ := app(t, func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		a, err := newForward(t, forward.Config{URL: url}).Deliver(ctx, newTask())
		if err != nil || a.Outcome != delivery.OutcomeRetry || a.RequestHeader == nil || !strings.Contains(a.Error, "may have handled it") {
			t.Errorf("attempt: %+v, error %v", a, err)
		}
	})
}

// TestReach: what takes connections can be reached, whatever it would answer.
func TestReach(t *testing.T) {
	gone := httptest.NewServer(answer(http.StatusOK))
	gone.Close()
	there := httptest.NewTLSServer(answer(http.StatusInternalServerError))
	defer there.Close()
	for url, ok := range map[string]bool{gone.URL: false, there.URL + "/hook?x=y": true, "http://[::1]:1/": false} {
		if err := newForward(t, forward.Config{URL: url}).Reach(t.Context()); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newForward(t, forward.Config{URL: there.URL}).Reach(ended); err == nil {
		t.Error("reached after the end of the context")
	}
}
