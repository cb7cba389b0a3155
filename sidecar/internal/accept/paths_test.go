package accept_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// request sends a signed webhook, whose path goes out as it is.
func (f *fixture) request(t *testing.T, method, path string, signed bool) (status int, answer string) {
	t.Helper()
	body := webhooktest.Sample("message.received")
	req, err := http.NewRequest(method, f.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path // not cleaned
	if signed {
		f.signer.Sign(req.Header, time.Now(), body)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestPathsAreTolerant(t *testing.T) {
	f := startWith(t, func(cfg *accept.Config) { cfg.Paths = []string{"/webhooks", "/a/b", "/"} })
	for _, path := range []string{
		"/webhooks", "/webhooks/", "//webhooks", "///webhooks//", "/webhooks?x=1", "/webhooks/?x=1", "/%77ebhooks", "/%2Fwebhooks",
		"/a/b", "//a//b/", "/", "//", "",
	} {
		if status, answer := f.request(t, http.MethodPost, path, true); status != http.StatusOK {
			t.Errorf("POST %q: %d %s", path, status, answer)
		}
	}
}

func TestUnknownPathIsRejected(t *testing.T) {
	var mu sync.Mutex
	var rejected []accept.Rejection
	answered := make(map[string]int)
	f := startWith(t, func(cfg *accept.Config) {
		cfg.OnReject = func(_ *http.Request, r accept.Rejection) {
			mu.Lock()
			defer mu.Unlock()
			rejected = append(rejected, r)
		}
		cfg.OnAnswer = func(result string, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			answered[result]++
		}
	})
	strays := []struct {
		method, path string
		signed       bool
	}{
		{"POST", "/", true}, {"POST", "/", false}, {"POST", "/webhook", true}, {"POST", "/webhooks/sms", true}, {"POST", "/WEBHOOKS", true},
		{"POST", "/webhooks.", false}, {"POST", "/x/../webhooks", true}, {"POST", "/livez", true}, {"POST", "/%00", true},
		{"GET", "/texml", true}, {"PUT", "/webhook", true},
		{"POST", "/" + strings.Repeat("long", 500), true},
	}
	for _, s := range strays {
		status, answer := f.request(t, s.method, s.path, s.signed)
		if status != http.StatusNotFound || !strings.Contains(answer, "urn:hookswitch:problem:unknown_path") {
			t.Errorf("%s %s: %d %s, want 404 and the problem", s.method, s.path, status, answer)
		}
		if strings.Contains(answer, "/other") {
			t.Errorf("%s %s: the answer tells a stranger the paths: %s", s.method, s.path, answer)
		}
	}
	// Browsers and scanners are answered and not worth a line.
	for _, path := range []string{"/", "/favicon.ico", "/livez", "/readyz"} {
		status, _ := f.request(t, http.MethodGet, path, false)
		if probe := strings.HasSuffix(path, "z"); probe != (status == http.StatusOK) {
			t.Errorf("GET %s: %d", path, status)
		}
	}
	f.stop()
	if len(rejected) != len(strays) || answered[telemetry.Rejected] != len(strays) || len(answered) != 1 {
		t.Fatalf("%d rejections were observed, and the answers %v; want %d", len(rejected), answered, len(strays))
	}
	for i, r := range rejected {
		if r.Reason != accept.UnknownPath || r.Status != http.StatusNotFound || !strings.Contains(fmt.Sprint(r.Err), "/webhooks and /other") {
			t.Errorf("%s: rejected with %+v", strays[i].path, r)
		}
		if n := len(r.Err.Error()); n > 500 {
			t.Errorf("%.20s…: the error has %d bytes", strays[i].path, n)
		}
	}
	if log := f.log.String(); !strings.Contains(log, "reason=unknown_path status=404") || !strings.Contains(log, `path=/webhook `) {
		t.Errorf("the log does not name the reason and the path:\n%s", log)
	}
}

func TestCheckPaths(t *testing.T) {
	for _, paths := range [][]string{{"/"}, {"/webhooks"}, {"/webhooks", "/a/b.c", "/wébhooks", "/~x"}} {
		if err := accept.CheckPaths(paths); err != nil {
			t.Errorf("%q: %v", paths, err)
		}
	}
	for _, tt := range []struct{ path, want string }{
		{"webhooks", "write /webhooks"},
		{"", "empty: remove a comma"},
		{"https://example.com/webhooks", "path only"},
		{"/webhooks?x=1", "write /webhooks"},
		{"/webhooks#x", "write /webhooks"},
		{"/webhooks/", "write /webhooks"},
		{"//webhooks", "write /webhooks"},
		{"/a/../b", "write /b"},
		{"/a/./b", "write /a/b"},
		{"/{id}", "pattern"}, {"/hooks/*", "pattern"}, {"*", "pattern"},
		{"/..", "write /"}, {"web?x", "write /web"},
		{"/a%20b", "decoded"},
		{"/a b", "space"}, {"/a\x7f", "control"}, {"/a\tb", "space"}, {"/a\xff", "control"},
		{"/livez", "health"}, {"/readyz", "health"},
	} {
		if err := accept.CheckPaths([]string{tt.path}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.path, err, tt.want)
		}
	}
	err := accept.CheckPaths([]string{"/a?b", "/ok", "b", "/c#d", "b"})
	for _, want := range []string{`has "/a?b", which has a query or a fragment, and no path has one: write /a;`, `has "b", which does not begin with a slash: write /b;`, `has "/c#d", `, `has "b" twice`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want all, with %s", err, want)
		}
	}
	if err := accept.CheckPaths([]string{"/a", "/a"}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("twice: %v", err)
	}
	if accept.CheckPaths(nil) == nil {
		t.Error("no paths are taken")
	}
}
