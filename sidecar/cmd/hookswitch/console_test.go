package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

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
			c := &console{out: &out, palette: newPalette(&cli.Command{Writer: &out}), form: form}
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
