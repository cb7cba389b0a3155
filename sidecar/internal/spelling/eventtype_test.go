package spelling

import (
	"strings"
	"testing"
)

func TestEventType(t *testing.T) {
	for _, known := range []string{"*", "message.*", "message.received", "call.machine.*", "call_answered", "speak_started", "texml.call.completed", "messaging-profile.spend-limit-reached", "", "a b", "me*"} {
		if hint := EventType(known); hint != "" {
			t.Errorf("%q: %s", known, hint)
		}
	}
	for pattern, want := range map[string]string{
		"message.recieved":  `did you mean "message.received"?`,
		"Message.Received":  `did you mean "message.received"?`,
		"message_received":  `did you mean "message.received"?`,
		"mesage.*":          `did you mean "message.*"?`,
		"call.machine.pre*": "",
		"calls.*":           `did you mean "call.*"?`,
		"message.delivered": `use "message.finalized"`,
		"invoice.paid":      "trigger --list",
		"invoice.*":         "trigger --list",
	} {
		if got := EventType(pattern); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: %s, want %s", pattern, got, want)
		}
	}
}
