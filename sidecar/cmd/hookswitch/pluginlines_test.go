package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestPluginScreen: stacks are on lines of their own, and a line of a plugin cannot
// look like one of ours.
func TestPluginScreen(t *testing.T) {
	plain := palette{fmt.Sprint, fmt.Sprint, fmt.Sprint, fmt.Sprint, fmt.Sprint}
	at := time.Date(2026, 11, 28, 1, 2, 3, 0, time.Local)
	for _, tt := range []struct {
		name    string
		level   slog.Level
		message string
		attrs   []slog.Attr
		want    string
	}{
		{"a line", slog.LevelInfo, "sent", []slog.Attr{slog.String("event_id", "86f58db9-1234"), slog.Int("pid", 1), slog.String("to", "crm eu")}, `
01:02:03.000  · crm                   86f58db9  sent to="crm eu"`},
		{"a stack", slog.LevelError, "handler panicked: boom", []slog.Attr{slog.String("stack", "goroutine 1 [running]:\nmain.f()\n\t/main.go:3 +0x1\n")}, `
01:02:03.000  ✗ crm                   handler panicked: boom
                  goroutine 1 [running]:
                  main.f()
                      /main.go:3 +0x1`},
		{"two texts of several lines", slog.LevelWarn, "odd", []slog.Attr{slog.String("a", "1\n2"), slog.String("b", "x\n")}, `
01:02:03.000  ! crm                   odd b=x
                  a:
                  1
                  2`},
		{"last output", slog.LevelError, "plugin is down", []slog.Attr{slog.String("code", "plugin-down"),
			slog.Any("error", fmt.Errorf("start: no handshake (the process ended: exit status 1; its last output: Traceback: |   File x.py | NameError)"))}, `
01:02:03.000  ✗ crm                   plugin is down: start: no handshake (the process ended: exit status 1; its last output follows) code=plugin-down
                  Traceback:
                    File x.py
                  NameError`},
		{"one line of last output", slog.LevelError, "plugin is down", []slog.Attr{slog.Any("error", fmt.Errorf("exit status 1; its last output: no crm"))}, `
01:02:03.000  ✗ crm                   plugin is down: exit status 1; its last output: no crm`},
		{"a forged line", slog.LevelInfo, "a\n01:02:03.000  ✗ other", []slog.Attr{slog.String("stack", "x\r\x1b[2J")}, `
01:02:03.000  · crm                   a stack="x\r\x1b[2J"
                  01:02:03.000  ✗ other`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			h := pluginScreen{out: newOutlet(&out), palette: plain, level: slog.LevelInfo}.WithAttrs([]slog.Attr{slog.String("plugin", "crm")})
			rec := slog.NewRecord(at, tt.level, tt.message, 0)
			rec.AddAttrs(tt.attrs...)
			if err := h.Handle(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			if got := "\n" + strings.TrimRight(out.String(), "\n"); got != tt.want {
				t.Errorf("got%s\nwant%s", got, tt.want)
			}
		})
	}
}

// TestPluginLogText: as above, for "plugins logs".
func TestPluginLogText(t *testing.T) {
	got := logText([]byte(`{"time":"2026-11-28T01:02:03Z","level":"ERROR","message":"handler panicked: boom","attrs":{"plugin":"crm","attempt":1,"stack":"goroutine 1 [running]:\nmain.f()\n\t/main.go:3"}}`))
	_, got, _ = strings.Cut(got, " ") // the time is local
	if want := "ERROR handler panicked: boom attempt=1\n      goroutine 1 [running]:\n      main.f()\n          /main.go:3"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got = logText([]byte(`{"time":"2026-11-28T01:02:03Z","level":"ERROR","message":"plugin is down","attrs":{"error":"exit status 2; its last output: panic: x | goroutine 1:"}}`))
	if want := "error=\"exit status 2; its last output follows\"\n      panic: x\n      goroutine 1:"; !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
