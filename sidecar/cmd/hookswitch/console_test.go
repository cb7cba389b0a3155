package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

// TestConsoleFits prints the longest things there are.
func TestConsoleFits(t *testing.T) {
	long := strings.Repeat("nobody knows why the application has failed ", 6)
	next := time.Unix(3600, 0)
	for _, m := range []live.Message{
		{Kind: live.Accepted, ID: "86f58db9-0fe3-4adc-9d1f-46e66e6e9323", Type: "messaging_hosted_numbers_orders.internal_transfer_approval_requested", KeyLabel: "production-of-the-other-account"},
		{Kind: live.Duplicate, Type: "message.sent", KeyLabel: "key1", Targets: []string{"forward:default"}},
		{Kind: live.Rejected, ID: "r_abcdefghij", Status: 401, Reason: "bad_signature", Error: long},
		{At: time.Unix(0, 0), Kind: live.Tried, Target: "plugin:a-name-that-is-rather-long", N: 1, State: "pending", Error: long, NextAt: &next},
		{Kind: live.Tried, Target: "forward:default", N: 12, State: "done", Status: 200, Duration: 1.5},
		{Kind: live.Dead, Target: "forward:default", N: 1, State: "dead", Status: 410, Error: long},
		{Kind: live.Lost, Lost: 123456},
	} {
		for _, form := range []string{"pretty", "compact"} {
			var out bytes.Buffer
			c := &console{out: &out, palette: newPalette(nil, &out), form: form}
			if err := c.print(m); err != nil {
				t.Fatal(err)
			}
			if form == "compact" && strings.Count(out.String(), "\n") != 1 {
				t.Errorf("compact is not one line:\n%s", &out)
			}
			for line := range strings.Lines(out.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > screenWidth && len(strings.Fields(line)) > 1 {
					t.Errorf("%s %s: a line has %d columns:\n%s", form, m.Kind, n, line)
				}
			}
			if m.Kind == live.Rejected && form == "pretty" && !strings.Contains(out.String(), "hookswitch verify --event r_abcdefghij") {
				t.Errorf("the command cannot be copied:\n%s", &out)
			}
		}
	}
}

func TestFold(t *testing.T) {
	green := func(a ...any) string { return "<" + a[0].(string) + ">" }
	for _, tt := range []struct {
		name, want string
		pieces     []piece
	}{
		{"it fits", "one two", []piece{{text: "one "}, {text: "two"}}},
		{"spaces inside are kept", "a    b", []piece{{text: "a    b  "}}},
		{"it is broken between words", "one two\n  three", []piece{{text: "one two three"}}},
		{"a long word stays whole", "one\n  http://a-long-url/", []piece{{text: "one http://a-long-url/"}}},
		{"colours have no width", "<one> <two>\n  <three>", []piece{{text: "one two three", paint: green}}},
		{"characters count, not bytes", "→ ✓ … é\n  ü", []piece{{text: "→ ✓ … é ü"}}},
	} {
		if got := fold(8, "  ", tt.pieces...); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWantsColor(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false}, // no terminal
		{map[string]string{"FORCE_COLOR": "1"}, true},
		{map[string]string{"FORCE_COLOR": "0"}, false},
		{map[string]string{"FORCE_COLOR": "1", "NO_COLOR": "1"}, false},
	} {
		if got := wantsColor(new(bytes.Buffer), tt.env); got != tt.want {
			t.Errorf("%v: %v", tt.env, got)
		}
	}
}

// TestClock: what happened long ago shows its day, and what happened lately its
// time. Both are of the time zone that the reader lives in.
func TestClock(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		ago    time.Duration
		layout string
	}{
		{0, "15:04:05"},
		{19 * time.Hour, "15:04:05"},
		{-19 * time.Hour, "15:04:05"}, // due soon
		{21 * time.Hour, "2006-01-02"},
		{-21 * time.Hour, "2006-01-02"},
		{400 * 24 * time.Hour, "2006-01-02"},
	} {
		at := now.Add(-tt.ago).UTC()
		if got, want := clock(&at), at.Local().Format(tt.layout); got != want {
			t.Errorf("%v ago is shown as %s, want %s", tt.ago, got, want)
		}
	}
	if got := clock(nil); got != "–" {
		t.Errorf("no time is shown as %q", got)
	}
}
