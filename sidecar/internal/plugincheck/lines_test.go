//go:build unix

package plugincheck

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// verifyManifest runs a manifest through the rules, and compares the checks
// that fail and those that are skipped with what they are expected to say.
func verifyManifest(t *testing.T, path string, timeout time.Duration, failed, skipped map[string]string) map[string]Check {
	t.Helper()
	cfg := VerifyConfig{Config: probeConfig(), Event: func([]string) (*delivery.Event, error) {
		e := event("ack")
		e.Body = []byte(`{"data":{}}`)
		return e, nil
	}}
	cfg.Timeout = timeout
	if failed["start"] != "" {
		cfg.StartTimeout = time.Second
	}
	results := make(map[string]Check)
	if ok := Verify(t.Context(), path, cfg, func(c Check) { results[c.Name] = c }); ok != (len(failed) == 0) {
		t.Errorf("Verify returns %v", ok)
	}
	for result, expected := range map[string]map[string]string{Failed: failed, Skipped: skipped} {
		for name, text := range expected {
			if c := results[name]; c.Result != result || !strings.Contains(c.Got, text) {
				t.Errorf("%q is to be %s with %q: %+v", name, result, text, c)
			}
		}
		if expected == nil {
			continue
		}
		for name, c := range results {
			if _, ok := expected[name]; !ok && c.Result == result {
				t.Errorf("%q: %+v", name, c)
			}
		}
	}
	return results
}

// hasty is for programs that let the time of an event run out.
const hasty = 100 * time.Millisecond

type words map[string]string // check → what it says, at least

// lineFaults are the arguments of the program faulty, and what is found out.
var lineFaults = map[string]struct {
	timeout  time.Duration
	settings string
	failed   words
	skipped  words
}{
	"good": {skipped: words{"SIGTERM": "it had ended by itself", "strange settings": "it has no settings"}},
	"modest": {skipped: words{"SIGTERM": "", "strange settings": "", "hello": "it has none", "ping": "does not say that it can", "cancel": "",
		"signals": "it ends then: its events come again"}},
	"ends":              {failed: words{"start": "the program ended at once"}},
	"not configured":    {settings: `{}`, failed: words{"start": `did not answer {"configured":{}}`}},
	"mute":              {timeout: hasty, failed: words{"event": "0 of 1 results within 2.1s"}},
	"buffers":           {timeout: hasty, failed: words{"event": "flush standard output after every line"}},
	"no JSON":           {timeout: hasty, failed: words{"event": "looking for beginning of object key string: {'seq': 1, "}},
	"wordy":             {timeout: hasty, failed: words{"event": "xxx"}},
	"other seq":         {timeout: hasty, failed: words{"event": "0 of 1 results"}},
	"greedy":            {failed: words{"hello": "max_in_flight is 5000"}},
	"loses one":         {timeout: hasty, failed: words{"many events": "15 of 16 results"}},
	"loses one of many": {timeout: hasty, failed: words{"full credit": "63 of 64 results"}},
	"short lines":       {failed: words{"1 MiB event": "token too long"}},
	"forgets":           {failed: words{"repeated event": "the process has ended: exit status 2: panic: forgets"}},
	"plain text":        {failed: words{"unusual text": "panic: plain text"}},
	"needs a body":      {failed: words{"broken body": "panic: needs a body"}},
	"headers":           {failed: words{"odd headers": "panic: headers"}},
	"strict":            {failed: words{"unknown fields": "panic: strict"}},
	"no pong":           {failed: words{"ping": "no Pong within 2s", "cancel": "no Pong"}},
	"other pong":        {failed: words{"ping": "it sent a Pong with id", "cancel": "Pong with id"}},
	"cancels blind":     {failed: words{"cancel": "panic: cancels blind"}},
	"deaf":              {timeout: hasty, failed: words{"many events": "0 of 16", "full credit": "", "1 MiB event": "it has not read its input for 2.1s"}},
	"keeps the last":    {failed: words{"end of input": "0 of 1 results: the process has ended: exit status 0"}},
	"endless":           {failed: words{"end of input": "it was still running after 2.5"}},
	"immortal":          {failed: words{"end of input": "it was still running", "SIGTERM": "it was still running after 2.5"}},
	"twice":             {failed: words{"nothing else": "a second result for seq 1"}},
	"unasked":           {failed: words{"nothing else": "a result for seq 1000000, which was never sent"}},
	"nothing to say":    {failed: words{"nothing else": "an answer to seq 1 that says nothing"}},
	"contradicts":       {failed: words{"nothing else": "an answer to seq 1 that says several things"}},
	"other type":        {failed: words{"nothing else": "an answer to seq 1 that cannot be understood"}},
	"leaves":            {failed: words{"nothing left": "1 processes have left the group and still run: "}},
	"gives up":          {failed: words{"signals": "the program has closed its stdout"}},
	"fussy":             {settings: `{"a":1}`, failed: words{"strange settings": "panic: fussy"}},
	"noise":             {failed: words{}},
}

// TestVerifyLines: for each rule of JSON lines a program that breaks it, and is
// found out by the check about it and by no other.
func TestVerifyLines(t *testing.T) {
	for fault, test := range lineFaults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			plugins.Put(t, filepath.Join(dir, "faulty"))
			settings := ""
			if test.settings != "" {
				settings = `,"settings":` + test.settings
			}
			path := filepath.Join(dir, "it"+catalog.ManifestSuffix)
			text := fmt.Sprintf(`{"protocol":"jsonl","command":["faulty",%q],"events":["*"]%s}`, fault, settings)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.failed == nil {
				test.failed = words{}
			}
			if test.timeout == 0 {
				test.timeout = soon
			}
			results := verifyManifest(t, path, test.timeout, test.failed, test.skipped)
			if fault == "noise" && !strings.Contains(results["nothing else"].Got, `1 other lines, which are logged: "connected to the crm"`) {
				t.Errorf("noise is not remarked on: %+v", results["nothing else"])
			}
		})
	}
}

// TestVerifyPythonExample: the example keeps the rules, with the machine's
// Python.
func TestVerifyPythonExample(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3:", err)
	}
	t.Parallel()
	results := verifyManifest(t, filepath.Join("..", "..", "..", "examples", "python", "optout.plugin.json"), soon,
		map[string]string{}, map[string]string{"cancel": "", "SIGTERM": "", "signals": "its events come again"})
	if c := results["strange settings"]; !strings.Contains(c.Got, "refused: hookswitch_verify: is unknown") {
		t.Errorf("settings: %+v", c)
	}
}

// TestVerifyIsInterrupted: nothing is waited for any more then, and nothing is
// said that only the interruption is the cause of.
func TestVerifyIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plugins.Put(t, filepath.Join(dir, "faulty"))
	path := filepath.Join(dir, "it"+catalog.ManifestSuffix)
	if err := os.WriteFile(path, []byte(`{"protocol":"jsonl","command":["faulty","mute"],"events":["*"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cfg := VerifyConfig{Config: probeConfig(), Event: func([]string) (*delivery.Event, error) {
		cancel()
		return event("ack"), nil
	}}
	cfg.Timeout = time.Hour
	last := ""
	if Verify(ctx, path, cfg, func(c Check) { last = c.Name }) {
		t.Error("Verify returns true")
	}
	if last != "credit" {
		t.Errorf("the last check is %q", last)
	}
}
