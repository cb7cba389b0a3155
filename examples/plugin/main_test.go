package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk/sdktest"
)

func newKeywords() *keywords { return &keywords{reply: reply} }

// start starts the plugin with a list in a directory of its own.
func start(t *testing.T, more string) (host *sdktest.Host, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "opt-outs.json")
	return sdktest.Start(t, newKeywords().plugin(), fmt.Sprintf(`{"file": %q%s}`, path, more)), path
}

var said = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// message is a text message, some minutes after the first.
func message(minute int, from, text string) []byte {
	return fmt.Appendf(nil, `{"data":{"event_type":"message.received","id":"6b3f0c1e-0d5c-4b0e-8f3e-%012d","occurred_at":%q,
		"payload":{"from":{"phone_number":%q},"text":%q}}}`, minute, said.Add(time.Duration(minute)*time.Minute).Format(time.RFC3339), from, text)
}

func TestKeywords(t *testing.T) {
	host, path := start(t, "")
	for _, s := range []struct {
		why        string
		minute     int
		from, text string
		replies    int // since the start
		list       string
	}{
		{"an ordinary message", 0, "+15550100", "hello", 0, ""},
		{"help changes nothing", 1, "+15550100", "HELP", 1, ""},
		{"stop, however it is written", 2, "+15550100", " stop\n", 2, `{"+15550100":{"out":true,"at":"2026-11-01T12:02:00Z"}}`},
		{"the same event again: no second reply", 2, "+15550100", " stop\n", 2, `{"+15550100":{"out":true,"at":"2026-11-01T12:02:00Z"}}`},
		{"start again", 5, "+15550100", "Start", 3, `{"+15550100":{"out":false,"at":"2026-11-01T12:05:00Z"}}`},
		{"a stop from before that comes late", 4, "+15550100", "STOP", 3, `{"+15550100":{"out":false,"at":"2026-11-01T12:05:00Z"}}`},
	} {
		if res := host.Deliver(message(s.minute, s.from, s.text)); res.Outcome != webhook.Done {
			t.Errorf("%s: %v", s.why, res)
		}
		if got := strings.Count(host.Log(), "reply"); got != s.replies {
			t.Errorf("%s: %d replies, want %d", s.why, got, s.replies)
		}
		if list, _ := os.ReadFile(path); string(list) != s.list {
			t.Errorf("%s: the list is %s, want %s", s.why, list, s.list)
		}
	}
	if strings.Contains(host.Log(), "+15550100") {
		t.Error("there is a number in the log")
	}
}

func TestMessageWithoutSenderIsADeadLetter(t *testing.T) {
	host, _ := start(t, "")
	if res := host.Deliver(message(0, "", "STOP")); res.Outcome != webhook.Dead {
		t.Errorf("got %v", res)
	}
}

func TestListIsKept(t *testing.T) {
	host, path := start(t, "")
	host.Deliver(message(0, "+15550100", "STOP"))
	again := sdktest.Start(t, newKeywords().plugin(), fmt.Sprintf(`{"file": %q}`, path))
	again.Deliver(message(1, "+15550101", "STOP"))
	if list, _ := os.ReadFile(path); !strings.Contains(string(list), "+15550100") || !strings.Contains(string(list), "+15550101") {
		t.Errorf("after a restart the list is %s", list)
	}
}

// When the plugin is replaced, the new process begins while the old one still
// has events.
func TestTwoProcessesShareTheList(t *testing.T) {
	old, path := start(t, "")
	replacement := sdktest.Start(t, newKeywords().plugin(), fmt.Sprintf(`{"file": %q}`, path))
	const each = 20
	number := func(i int) string { return fmt.Sprintf("+155502%02d", i) }
	var wg sync.WaitGroup
	for at, host := range []*sdktest.Host{old, replacement} {
		wg.Go(func() {
			for i := range each {
				if res := host.Deliver(message(at*each+i, number(at*each+i), "STOP")); res.Outcome != webhook.Done {
					t.Errorf("got %v", res)
				}
			}
		})
	}
	wg.Wait()
	list, _ := os.ReadFile(path)
	for i := range 2 * each {
		if !strings.Contains(string(list), number(i)) {
			t.Errorf("%s is not in the list", number(i))
		}
	}
	// What one of them knows counts for the other.
	replacement.Deliver(message(100, number(0), "START"))
	old.Deliver(message(99, number(0), "STOP"))
	if list, _ = os.ReadFile(path); !strings.Contains(string(list), fmt.Sprintf(`%q:{"out":false,`, number(0))) {
		t.Errorf("after an older STOP the list is %s", list)
	}
}

// A choice is saved before its reply, which may fail or be cut off by a crash.
func TestAReplyIsOwedUntilItIsSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "opt-outs.json")
	settings := fmt.Sprintf(`{"file": %q}`, path)
	failing := &keywords{reply: func(context.Context, string, string) error { return errors.New("no network") }}
	host := sdktest.Start(t, failing.plugin(), settings)
	if res := host.Deliver(message(0, "+15550100", "STOP")); res.Outcome != webhook.Retry {
		t.Errorf("got %v", res)
	}
	if list, _ := os.ReadFile(path); !strings.Contains(string(list), `"+15550100":{"out":true,`) {
		t.Errorf("the choice waits for its reply: the list is %s", list)
	}
	host = sdktest.Start(t, newKeywords().plugin(), settings)
	for range 2 { // the second is a repetition
		if res := host.Deliver(message(0, "+15550100", "STOP")); res.Outcome != webhook.Done {
			t.Errorf("got %v", res)
		}
	}
	if n := strings.Count(host.Log(), "reply"); n != 1 {
		t.Errorf("%d replies, want 1", n)
	}

	t.Run("but not when something later was said", func(t *testing.T) {
		sdktest.Start(t, failing.plugin(), settings).Deliver(message(1, "+15550101", "STOP"))
		host := sdktest.Start(t, newKeywords().plugin(), settings)
		host.Deliver(message(2, "+15550101", "START"))
		host.Deliver(message(1, "+15550101", "STOP"))
		if log := host.Log(); strings.Count(log, "reply") != 1 || !strings.Contains(log, "Welcome back") {
			t.Errorf("the log is %s", log)
		}
	})
}

// A disk that fails is a retry, after which the reply is still owed.
func TestListThatCannotBeWritten(t *testing.T) {
	host, path := start(t, "")
	if err := os.Mkdir(path+".tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	if res := host.Deliver(message(0, "+15550100", "STOP")); res.Outcome != webhook.Retry || !strings.Contains(res.Reason, "write the list") {
		t.Errorf("got %v", res)
	}
	if err := os.Remove(path + ".tmp"); err != nil {
		t.Fatal(err)
	}
	if res := host.Deliver(message(0, "+15550100", "STOP")); res.Outcome != webhook.Done || !strings.Contains(host.Log(), "reply") {
		t.Errorf("then %v, log %s", res, host.Log())
	}
}

func TestSettings(t *testing.T) {
	host, path := start(t, `, "stop": ["arrêt"], "stopped": "C'est noté."`)
	host.Deliver(message(0, "+15550100", "Arrêt"))
	if list, _ := os.ReadFile(path); !strings.Contains(string(list), "+15550100") || !strings.Contains(host.Log(), "C'est noté.") {
		t.Errorf("the list is %s, the log %s", list, host.Log())
	}

	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for settings, want := range map[string]string{
		`{"stopp": ["X"]}`:                        "stopp",
		`{"help": ["stop"]}`:                      `help: has "STOP", which is in stop already`,
		`{"start": [" "]}`:                        "start: has an empty word",
		fmt.Sprintf(`{"file": %q}`, broken):       "fix it, or move it away",
		`{"stop": "STOP", "started": ["a", "b"]}`: "started",
	} {
		if err := sdktest.Refusal(t, newKeywords().plugin(), settings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", settings, err, want)
		}
	}
	if text, _ := os.ReadFile(broken); string(text) != "{" {
		t.Errorf("the broken list is now %s", text)
	}
}
