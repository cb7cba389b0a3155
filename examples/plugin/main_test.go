package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk/sdktest"
)

func TestKeywords(t *testing.T) {
	k := &keywords{path: filepath.Join(t.TempDir(), "opt-outs.json")}
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, k.received)
	host := sdktest.New(t, &mux)

	steps := []struct {
		from, text, list string
	}{
		{"+15550100", "hello", ""},
		{"+15550100", "HELP", ""},
		{"+15550100", " stop\n", `{"+15550100":true}`},
		{"+15550100", "STOP", `{"+15550100":true}`}, // the event came twice
		{"+15550101", "Unsubscribe", `{"+15550100":true,"+15550101":true}`},
		{"+15550100", "start", `{"+15550101":true}`},
	}
	for _, s := range steps {
		if res := host.Deliver(message(s.from, s.text)); res.Outcome != webhook.Done {
			t.Errorf("%q from %s: %v", s.text, s.from, res)
		}
		if list, _ := os.ReadFile(k.path); string(list) != s.list {
			t.Errorf("after %q from %s the list is %s, want %s", s.text, s.from, list, s.list)
		}
	}

	t.Run("a message without sender is a dead letter", func(t *testing.T) {
		if res := host.Deliver(message("", "STOP")); res.Outcome != webhook.Dead {
			t.Errorf("got %v", res)
		}
	})
	t.Run("a broken list is a retry, and is not overwritten", func(t *testing.T) {
		if err := os.WriteFile(k.path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if res := host.Deliver(message("+15550100", "STOP")); res.Outcome != webhook.Retry {
			t.Errorf("got %v", res)
		}
		if list, _ := os.ReadFile(k.path); string(list) != "{" {
			t.Errorf("the list is now %s", list)
		}
	})
}

func message(from, text string) []byte {
	return fmt.Appendf(nil, `{"data":{"event_type":"message.received","id":"6b3f0c1e-0d5c-4b0e-8f3e-6a1f1f4f7a11",
		"payload":{"from":{"phone_number":%q},"text":%q}}}`, from, text)
}
