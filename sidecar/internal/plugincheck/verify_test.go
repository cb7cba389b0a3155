//go:build unix

package plugincheck

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// TestVerify: a plugin that keeps the rules passes, and one that breaks a rule
// fails the check about it and says what was seen.
func TestVerify(t *testing.T) {
	for name, test := range map[string]struct {
		do      string            // what events tell the plugin to do
		failed  map[string]string // check → what it says, at least
		skipped []string
		only    bool // no other check fails
	}{
		"good":  {do: "ack", only: true},
		"lines": {do: "ack", failed: map[string]string{"start": ""}}, // speaks something else
		"unary": {do: "ack", only: true, skipped: []string{"health", "shutdown"},
			failed: map[string]string{"signals": "the process has ended: signal: ", "lifeline": "still running after 2.5"}},
		"rogue": {do: "ack", skipped: []string{"health", "shutdown"},
			failed: map[string]string{"nothing else": "result for seq", "lifeline": "still running"}},
		"mute":   {do: "ack", only: true, skipped: []string{"health"}, failed: map[string]string{"event": "0 of 1 results within 2.1s"}},
		"fussy":  {do: "ack", failed: map[string]string{"start": "dsn: is required"}},
		"single": {do: "retry", only: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := VerifyConfig{Config: probeConfig(), Event: func([]string) (*delivery.Event, error) { return event(test.do), nil }}
			cfg.Timeout = soon
			if name == "lines" {
				cfg.StartTimeout = time.Second
			}
			if name == "mute" {
				cfg.Timeout = 100 * time.Millisecond
			}
			results := make(map[string]Check)
			ok := Verify(t.Context(), probeFile(t, name, nil, 0), cfg, func(c Check) { results[c.Name] = c })
			if ok != (test.failed == nil) {
				t.Errorf("Verify returns %v", ok)
			}
			for check, text := range test.failed {
				if c := results[check]; c.Result != Failed || !strings.Contains(c.Got, text) {
					t.Errorf("%s: %+v", check, c)
				}
			}
			for check, c := range results {
				if _, expected := test.failed[check]; test.only && !expected && c.Result == Failed {
					t.Errorf("%s: %+v", check, c)
				}
				if skips := slices.Contains(test.skipped, check); test.only && skips != (c.Result == Skipped) {
					t.Errorf("%s: %+v", check, c)
				}
			}
			if name == "good" && len(results) != 25 {
				t.Errorf("%d checks: %v", len(results), results)
			}
		})
	}
}
