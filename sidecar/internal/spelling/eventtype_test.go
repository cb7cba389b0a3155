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
		"message.recieved":                     `did you mean "message.received"?`,
		"Message.Received":                     `did you mean "message.received"?`,
		"message_received":                     `did you mean "message.received"?`,
		"mesage.*":                             `did you mean "message.*"?`,
		"call.machine.pre*":                    "",
		"cal.*":                                `did you mean "call.*"?`,
		"message.delivered":                    `use "message.finalized"`,
		"brand.approved":                       `use "10dlc.brand.update"`,
		"call.ringing":                         `use "call.initiated"`,
		"toll_free_verification.status_update": "nothing is known to come",
		"customer_service_request.status_changed": "",
		"session.status_changed":                  "cannot be received",
		"recording.*":                             "cannot be received",
		"invoice.paid":                            "events types",
		"invoice.*":                               "events types",
	} {
		if got := EventType(pattern); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: %s, want %s", pattern, got, want)
		}
	}
}

func TestMissed(t *testing.T) {
	for _, tt := range []struct{ patterns, want string }{
		{"call.*", `does not fit "calls.voicemail.completed"`},
		{"calls.*", `event types of "call.*"`},
		{"call.*,calls.*", ""},
		{"call.*,*", ""},
		{"call.hangup,message.*,texml.*", ""},
	} {
		patterns := strings.Split(tt.patterns, ",")
		list := Missed("X", patterns, patterns)
		if len(list) > 1 || (len(list) == 0) != (tt.want == "") || tt.want != "" && !strings.Contains(list[0], tt.want) {
			t.Errorf("%s: %q, want %s", tt.patterns, list, tt.want)
		}
	}
}

func TestUnanswered(t *testing.T) {
	for pattern, want := range map[string]string{
		"texml.gather": "(TeXML) to texml.gather,", "texml.*": "texml.ai_gather, texml.gather, texml.http_request, texml.queue",
		"assistant.initialization": "(JSON)", "*": "", "texml.call.*": "", "call.*": "",
	} {
		list := Unanswered("X", []string{pattern})
		if (len(list) == 0) != (want == "") || want != "" && !strings.Contains(list[0], want) {
			t.Errorf("%s: %q, want %s", pattern, list, want)
		}
	}
}
