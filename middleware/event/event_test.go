package event_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
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

func TestTimeFormats(t *testing.T) {
	want := time.Date(2021, 4, 28, 21, 51, 18, 731479e3, time.UTC)
	for _, s := range []string{
		"2021-04-28T21:51:18.731479Z", "2021-04-28T21:51:18.731479+00:00", "2021-04-28T23:51:18.731479+02:00",
		"2021-04-28T21:51:18.731479", "2021-04-28 21:51:18.731479Z", "2021-04-28 21:51:18.731479",
	} {
		if got := event.ParseTime(s); !got.Equal(want) || got.Raw != s || got.String() != s {
			t.Errorf("ParseTime(%q) = %v, Raw %q", s, got.Time, got.Raw)
		}
	}
	for _, s := range []string{"date-time", "", "1588280767640"} {
		got := event.ParseTime(s)
		encoded, err := json.Marshal(got)
		if !got.IsZero() || got.Raw != s || err != nil || s != "" && string(encoded) != `"`+s+`"` {
			t.Errorf("ParseTime(%q) = %+v, encoded as %s, %v", s, got, encoded, err)
		}
	}
}

// TestValuesInEveryForm: what Telnyx sends in several JSON types decodes from
// each, and from anything else to zero without an error.
func TestValuesInEveryForm(t *testing.T) {
	type values struct {
		D event.Decimal
		X event.Text
		T event.Time
		E event.Endpoint
		L event.List[event.Endpoint]
		S event.List[string]
		C event.ClientState
	}
	tests := []struct {
		in   string
		want values
	}{
		{`{"D":"0.0051","X":"16"}`, values{D: "0.0051", X: "16"}},
		{`{"D":0.0051,"X":16}`, values{D: "0.0051", X: "16"}},
		{`{"D":12345678901234567890.5,"X":true}`, values{D: "12345678901234567890.5", X: "true"}},
		{`{"E":"+1","L":"+1","S":"a"}`, values{E: event.Endpoint{PhoneNumber: "+1"}, L: []event.Endpoint{{PhoneNumber: "+1"}}, S: []string{"a"}}},
		{`{"E":{"phone_number":"+1"},"L":[{"phone_number":"+1"},"+2"]}`, values{E: event.Endpoint{PhoneNumber: "+1"},
			L: []event.Endpoint{{PhoneNumber: "+1"}, {PhoneNumber: "+2"}}}},
		{`{"L":[{"agent_id":"a","agent_name":"n"}],"S":[]}`, values{L: []event.Endpoint{{AgentID: "a", AgentName: "n"}}, S: []string{}}},
		{`{"E":{"phone_number":{"x":1},"carrier":"c"}}`, values{E: event.Endpoint{Carrier: "c"}}},
		{`{"C":"aGk="}`, values{C: "aGk="}},
		{`{"D":null,"X":null,"T":null,"E":null,"L":null,"S":null,"C":null}`, values{}},
		{`{"D":{},"X":[],"T":{},"E":[],"C":[1]}`, values{}},
	}
	for _, tt := range tests {
		var got values
		if err := json.Unmarshal([]byte(tt.in), &got); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s decodes to\n%+v, %v; want\n%+v", tt.in, got, err, tt.want)
		}
	}
	if r, ok := event.Decimal("0.00205").Rat(); !ok || r.FloatString(5) != "0.00205" {
		t.Errorf("Rat = %v, %v", r, ok)
	}
	for _, s := range []event.Decimal{"", "1/2", "1e999999999", "abc", event.Decimal(strings.Repeat("9", 100))} {
		if _, ok := s.Rat(); ok {
			t.Errorf("Decimal(%q).Rat succeeded", s)
		}
	}
}

func TestSamplesCoverEveryModelledName(t *testing.T) {
	samples := event.Samples()
	for _, name := range event.Names() {
		if _, ok := event.Sample(name); !ok && !strings.HasPrefix(name, "test.") {
			t.Errorf("%s has no sample", name)
		}
	}
	if len(samples) == 0 || !slices.IsSorted(samples) {
		t.Errorf("Samples = %q", samples)
	}
	if _, ok := event.Sample("../event"); ok {
		t.Error("Sample reads other files")
	}
}

func FuzzMessage(f *testing.F) {
	for _, name := range event.Samples() {
		body, _ := event.Sample(name)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var m event.Message
		var c event.CallHangupPayload
		// Only the type of plain fields may fail, never a value type.
		for _, v := range []any{&m, &c} {
			if err := json.Unmarshal(body, v); err != nil && json.Valid(body) {
				if _, ok := err.(*json.UnmarshalTypeError); !ok {
					t.Fatalf("valid JSON fails with %T: %v", err, err)
				}
			}
		}
		if _, err := json.Marshal(m); err != nil {
			t.Fatalf("decoded message does not encode: %v", err)
		}
	})
}
