package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

func TestHealth(t *testing.T) {
	var broken error
	h := telemetry.NewHealth(func(context.Context) error { return broken })
	mux := http.NewServeMux()
	h.Register(mux)
	status := func(method, path string) int {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
		return rec.Code
	}
	if got := status("GET", "/readyz"); got != 503 {
		t.Errorf("before SetReady: %d, want 503", got)
	}
	h.SetReady(true)
	if got := status("GET", "/readyz"); got != 200 {
		t.Errorf("ready: %d, want 200", got)
	}
	broken = errors.New("disk full")
	if got := status("GET", "/readyz"); got != 503 {
		t.Errorf("store broken: %d, want 503", got)
	}
	if got := status("GET", "/livez"); got != 200 {
		t.Errorf("livez: %d, want 200 whatever the store does", got)
	}
	broken = nil
	h.SetReady(false)
	if got := status("GET", "/readyz"); got != 503 {
		t.Errorf("stopping: %d, want 503", got)
	}
	if got := status("POST", "/livez"); got != 405 {
		t.Errorf("POST: %d, want 405", got)
	}
}

// TestHealthVerbose: the verbose form lists each check; a failure is logged
// once, with the cause that strangers do not see.
func TestHealthVerbose(t *testing.T) {
	var log bytes.Buffer
	var broken error
	h := telemetry.NewHealth(func(context.Context) error { return nil })
	h.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	h.NeedReady("disk", func(context.Context) error { return broken })
	h.NeedLive("dispatch", func(context.Context) error { return broken })
	h.SetReady(true)
	mux := http.NewServeMux()
	h.Register(mux)
	get := func(path string) string {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		return fmt.Sprint(rec.Code, " ", rec.Body)
	}
	if got, want := get("/readyz?verbose"), "200 [+] listening, not draining: ok\n[+] store: ok\n[+] disk: ok\nok\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if log.Len() > 0 {
		t.Errorf("a probe was logged: %s", &log)
	}
	broken = errors.New("/secret/path is full")
	for range 3 {
		if got, want := get("/readyz"), "503 not ready: disk\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := get("/livez?verbose"), "503 [+] process: ok\n[-] dispatch: failed\nnot alive: dispatch\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := strings.Count(log.String(), "/secret/path is full"); n != 2 || !strings.Contains(log.String(), "code=unhealthy") {
		t.Errorf("the cause is logged %d times, want once for each check: %s", n, &log)
	}
	broken = nil
	if got := get("/readyz"); got != "200 ok\n" || !strings.Contains(log.String(), "well again") {
		t.Errorf("after the cause: %q, %s", got, &log)
	}
}

func TestDiskAbove(t *testing.T) {
	free, err := telemetry.DiskFree(t.TempDir())
	if err != nil {
		t.Skipf("the free space of this system is not known: %v", err)
	}
	if err := telemetry.DiskAbove(t.TempDir(), free/2)(t.Context()); err != nil {
		t.Error(err)
	}
	if err := telemetry.DiskAbove(t.TempDir(), free*2)(t.Context()); err == nil || !strings.Contains(err.Error(), "HOOKSWITCH_DISK_FLOOR") {
		t.Errorf("error %v does not say what to do", err)
	}
}
