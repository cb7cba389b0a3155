package event_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
)

func TestCanonical(t *testing.T) {
	for v1, want := range map[string]string{
		"call_initiated":                    "call.initiated",
		"call_answered":                     "call.answered",
		"call_hangup":                       "call.hangup",
		"speak_started":                     "call.speak.started",
		"recording_saved":                   "call.recording.saved",
		"call_recording_saved":              "call.recording.saved",
		"gather_ended":                      "call.gather.ended",
		"call_payment_completed":            "call.payment.completed",
		"ai_gather_message_history_updated": "call.ai_gather.message_history_updated",
		"machine_premium_detection_ended":   "call.machine.premium.detection.ended",
		"conference_participant_joined":     "conference.participant.joined",
		"conference_recording_saved":        "conference.recording.saved",
		"conference_join":                   "conference.participant.joined",
		"conference_leave":                  "conference.participant.left",
		"streaming_started":                 "streaming.started",
		"call_streaming_started":            "call.streaming.started",
		"siprec_failed":                     "siprec.failed",
		"initiated":                         "initiated", // never alone
		"link_clicked":                      "link_clicked",
		"conversation_insight_result":       "conversation_insight_result",
		"dynamic_variables":                 "dynamic_variables",
		"sms_received":                      "sms_received",
		"message_sent":                      "message_sent", // messaging had no events in v1
		"call_unknown":                      "call_unknown",
		"_":                                 "_",
		"call_":                             "call_",
		"":                                  "",
		"number_order.complete":             "number_order.complete",
		"customer_service_request.status_changed": "customer_service_record.status_changed",
		"Call_Initiated":                        "Call_Initiated",
		"messaging-profile.spend-limit-reached": "messaging-profile.spend-limit-reached",
	} {
		if got := event.Canonical(v1); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", v1, got, want)
		}
	}
	for _, name := range event.Names() {
		if got := event.Canonical(name); got != name {
			t.Errorf("Canonical(%q) = %q: a name that is defined must stay", name, got)
		}
		if product, _, _ := strings.Cut(name, "."); product != "call" && product != "conference" {
			continue
		}
		if v1 := strings.ReplaceAll(name, ".", "_"); event.Canonical(v1) != name {
			t.Errorf("Canonical(%q) = %q, want %q", v1, event.Canonical(v1), name)
		}
	}
}

func TestMisnomer(t *testing.T) {
	names := event.Names()
	for _, wrong := range []string{"message.delivered", "message.failed", "fax.sent", "email.expired", "call.ringing", "call.failed",
		"message.link_click", "message.queued", "call.streaming.stopped", "verification.sent", "verification.accepted", "verification.rejected", "verification.expired",
		"email.rejected", "ai.assistant.insights", "email.inbound", "email.inbound.received", "call.transferred", "call.bridge.started", "brand.verified", "campaign.status_update"} {
		use, ok := event.Misnomer(wrong)
		if !ok || !slices.Contains(names, use) || slices.Contains(names, wrong) {
			t.Errorf("Misnomer(%q) = %q, %v", wrong, use, ok)
		}
	}
	for _, right := range append(names, "", "call_initiated", "something.else") {
		if use, wrong := event.Misnomer(right); wrong || use != "" {
			t.Errorf("Misnomer(%q) = %q, %v", right, use, wrong)
		}
	}
}
