package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk/sdktest"
)

// start starts the plugin with a list in a directory of its own.
func start(t *testing.T, more string) (host *sdktest.Host, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "opt-outs.json")
	return sdktest.Start(t, new(keywords).plugin(), fmt.Sprintf(`{"file": %q%s}`, path, more)), path
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
	again := sdktest.Start(t, new(keywords).plugin(), fmt.Sprintf(`{"file": %q}`, path))
	again.Deliver(message(1, "+15550101", "STOP"))
	if list, _ := os.ReadFile(path); !strings.Contains(string(list), "+15550100") || !strings.Contains(string(list), "+15550101") {
		t.Errorf("after a restart the list is %s", list)
	}
}

// A disk that fails is a retry, after which the choice is news still.
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
		fmt.Sprintf(`{"file": %q}`, broken):       "mend it, or move it away",
		`{"stop": "STOP", "started": ["a", "b"]}`: "started",
	} {
		if err := sdktest.Refusal(t, new(keywords).plugin(), settings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", settings, err, want)
		}
	}
	if text, _ := os.ReadFile(broken); string(text) != "{" {
		t.Errorf("the broken list is now %s", text)
	}
}
