package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/appcheck"
)

// The first Ctrl-C ends the check of an app that does not answer.
func TestDoctorInterrupted(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOOKSWITCH_STORE", "file:"+filepath.Join(dir, "data"))
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or its end would not be noticed
		cancel()
		<-r.Context().Done()
	}))
	defer app.Close()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"hookswitch", "doctor", "app", app.URL, "--key", key}, &out, &errs)
	if code != exitInterrupted || errs.String() != "hookswitch: interrupted\n" || out.Len() > 0 {
		t.Errorf("exit %d: %s%s", code, &out, &errs)
	}
}

// A report fits into 80 columns, whatever the app has answered.
func TestDoctorReport(t *testing.T) {
	long := strings.Repeat("words and more ", 20)
	root, _ := newCommand(io.Discard, io.Discard)
	var out bytes.Buffer
	printDoctor(&out, newPalette(root), &appcheck.Report{
		URL: "http://localhost:5000/webhooks", PublicKey: strings.Repeat("k", 44), Framework: "Express",
		Checks: []appcheck.Check{
			{Name: "small", Result: appcheck.Passed, Status: 200, Seconds: 0.0123},
			{Name: "no signature", Result: appcheck.Failed, Error: long},
			{Name: "old", Result: appcheck.Skipped},
		},
		Findings: []appcheck.Finding{
			{Problem: "the app " + long, Checks: []string{"small", "old"}, Sent: "an event", Got: long, Why: long, Fix: long},
			{Problem: "the app", Warning: true, Checks: []string{"old"}},
		},
	})
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > screenWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{
		"\n  ✓ small         200 in 12.3ms\n", "\n  – old           not sent\n", "\n✗ the app words", "\n  sent  an event\n",
		"\n! the app (old)\n", "\n1 problem, 1 warning; it looks like Express\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}
