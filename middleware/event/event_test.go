package event_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/middleware/event"
)

func TestDefine(t *testing.T) {
	name := event.Define[event.Message]("test.defined")
	if name.String() != "test.defined" || !slices.Contains(event.Names(), "test.defined") {
		t.Errorf("Define made %q; Names = %q", name, event.Names())
	}
	if !slices.IsSorted(event.Names()) {
		t.Errorf("Names = %q, want alphabetical order", event.Names())
	}
	if _, ok := event.NewPayload("test.defined").(*event.Message); !ok {
		t.Errorf("NewPayload = %T, want what was defined", event.NewPayload("test.defined"))
	}
	if p := event.NewPayload("test.undefined"); p != nil {
		t.Errorf("NewPayload of an unknown type = %T", p)
	}
	for _, bad := range []string{"", "test.defined", "message.sent"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Define(%q) did not panic", bad)
				}
			}()
			event.Define[event.Message](bad)
		}()
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, eventType string
		want               bool
	}{
		{"*", "", true}, {"*", "message.sent", true},
		{"message.*", "message.sent", true}, {"message.*", "message.", false},
		{"message.*", "message", false}, {"message.*", "messages.sent", false},
		{"message.sent", "message.sent", true}, {"message.sent", "message.sent.x", false},
		{"message.sent", "MESSAGE.SENT", false}, {"", "", false},
	}
	for _, tt := range tests {
		if got := event.Match(tt.pattern, tt.eventType); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.eventType, got)
		}
	}
	for pattern, ok := range map[string]bool{
		"*": true, "message.*": true, "a": true, "messaging-profile.spend-limit-reached": true,
		"": false, "*.sent": false, "message*": false, ".*": false, "**": false, "a.*.b": false, "a b": false, "a,b": false,
	} {
		if err := event.CheckPattern(pattern); (err == nil) != ok {
			t.Errorf("CheckPattern(%q) = %v", pattern, err)
		}
	}
}

// payloadOf decodes the payload of a sample.
func payloadOf[P any](t *testing.T, name event.Name[P]) *P {
	t.Helper()
	body, ok := event.Sample(name.String())
	if !ok {
		t.Fatalf("no sample for %s", name)
	}
	var envelope struct {
		Data struct {
			Payload *P `json:"payload"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatal(err)
	}
	return envelope.Data.Payload
}

// TestSeedMessage compares every field of the deliveryUpdate example that
// Telnyx documents.
func TestSeedMessage(t *testing.T) {
	want := &event.Message{
		ID:                 "40385f64-5717-4562-b3fc-2c963f66afa6",
		RecordType:         "message",
		Direction:          "outbound",
		Type:               "MMS",
		MessagingProfileID: "4000eba1-a0c0-4563-9925-b25e842a7cb6",
		OrganizationID:     "b448f9cc-a842-4784-98e9-03c1a5872950",
		From:               event.Endpoint{PhoneNumber: "+18445550001", Carrier: "TELNYX LLC", LineType: "VoIP"},
		To: []event.Endpoint{{PhoneNumber: "+18665550001", Status: "queued",
			Carrier: "T-MOBILE USA, INC.", LineType: "Wireless"}},
		CC:                 []event.Endpoint{},
		Text:               "Hello, World!",
		Subject:            "From Telnyx!",
		Media:              []event.Media{{URL: "https://pbs.twimg.com/profile_images/1142168442042118144/AW3F4fFD_400x400.png"}},
		WebhookURL:         "https://www.example.com/hooks",
		WebhookFailoverURL: "https://backup.example.com/hooks",
		Encoding:           "GSM-7",
		Parts:              1,
		Tags:               []string{"Greetings"},
		Cost:               &event.Money{Amount: "0.0051", Currency: "USD"},
		CostBreakdown: &event.CostBreakdown{
			CarrierFee: event.Money{Amount: "0.00305", Currency: "USD"},
			Rate:       event.Money{Amount: "0.00205", Currency: "USD"},
		},
		TCRCampaignID:         "TCPA3X7",
		TCRCampaignBillable:   true,
		TCRCampaignRegistered: "REGISTERED",
		ReceivedAt: event.Time{Time: time.Date(2019, 1, 23, 18, 10, 2, 574e6, time.UTC),
			Raw: "2019-01-23T18:10:02.574Z"},
		Errors: []event.Problem{},
	}
	if diff := cmp.Diff(want, payloadOf(t, event.MessageSent)); diff != "" {
		t.Errorf("message.sent (-want +got):\n%s", diff)
	}
}

func TestCallSamples(t *testing.T) {
	start := payloadOf(t, event.CallInitiated)
	if start.CallControlID == "" || start.ConnectionID != "1684641123236054244" || start.Direction != "incoming" ||
		!start.ShakenStirValidated || start.StartTime.IsZero() || start.Tags[0] != "front-desk" {
		t.Errorf("call.initiated: %+v", start)
	}
	answer := payloadOf(t, event.CallAnswered)
	state, err := answer.ClientState.Decode()
	if err != nil || string(state) != "table 7" || answer.CustomHeaders[0] != (event.SIPHeader{Name: "X-Table", Value: "7"}) {
		t.Errorf("call.answered: %+v, client state %q, %v", answer, state, err)
	}
	end := payloadOf(t, event.CallHangup)
	if end.HangupCause != "normal_clearing" || end.SIPHangupCause != "200" ||
		end.QualityStats.Inbound.MOS.Float64() != 4.5 || end.EndTime.Sub(end.StartTime.Time) != 82213162*time.Microsecond {
		t.Errorf("call.hangup: %+v", end)
	}
}
