package telemetry_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken error
		asked := 0
		h := telemetry.NewHealth(func(ctx context.Context) error {
			asked++
			return cmp.Or(broken, ctx.Err())
		})
		mux := http.NewServeMux()
		h.Register(mux)
		hungUp, cancel := context.WithCancel(t.Context())
		cancel()
		check := func(when, method, path string, status int, unready string) {
			t.Helper()
			time.Sleep(time.Second)
			rec := httptest.NewRecorder()
			mux.ServeHTTP(rec, httptest.NewRequestWithContext(hungUp, method, path, nil))
			if rec.Code != status {
				t.Errorf("%s: %s answers %d, want %d", when, path, rec.Code, status)
			}
			if got := h.Unready(hungUp); got != unready {
				t.Errorf("%s: not ready for %q, want %q", when, got, unready)
			}
		}
		check("before SetReady", "GET", "/readyz", 503, "starting or stopping")
		h.SetReady(true)
		check("ready", "GET", "/readyz", 200, "")
		broken = errors.New("disk full")
		check("store broken", "GET", "/readyz", 503, "store failed")
		check("store broken", "GET", "/livez", 200, "store failed")
		broken = nil
		h.SetReady(false)
		check("stopping", "GET", "/readyz", 503, "starting or stopping")
		check("stopping", "POST", "/livez", 405, "starting or stopping")

		h.SetReady(true)
		check("ready again", "GET", "/readyz", 200, "")
		asked = 0
		for range 100 {
			mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil))
		}
		if asked > 0 {
			t.Errorf("the store was asked %d times within a second", asked)
		}
	})
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
	warning := "3 lines were lost"
	h.Note("log", func(context.Context) string { return warning })
	if got, want := get("/readyz?verbose"), "200 [+] listening, not draining: ok\n[+] store: ok\n[+] disk: ok\n[!] log: 3 lines were lost\nok\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := get("/readyz"); got != "200 ok\n" {
		t.Errorf("a warning changes what a probe gets: %q", got)
	}
	if warning = ""; len(h.Notes(t.Context())) > 0 {
		t.Errorf("notes while all is well: %q", h.Notes(t.Context()))
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
