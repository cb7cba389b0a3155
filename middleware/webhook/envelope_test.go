package webhook_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded; charset=utf-8"
)

func TestDecodeTellsTheShapesApart(t *testing.T) {
	tests := []struct {
		name, contentType, body string
		shape                   webhook.Shape
		typ, id, payload        string
	}{
		{"API v2", jsonType, `{"data":{"event_type":"call.hangup","id":"1","occurred_at":"2026-01-02T03:04:05Z","payload":{"a":1}},"meta":{"attempt":1}}`,
			webhook.ShapeV2, "call.hangup", "1", `{"a":1}`},
		{"API v2, escaped type", jsonType, `{"data":{"event_type":"call\u002ehangup","id":"1","payload":{}},"meta":{}}`,
			webhook.ShapeV2, "call.hangup", "1", `{}`},
		{"API v2, payload null", jsonType, `{"data":{"event_type":"call.hangup","id":"","payload":null},"meta":{}}`,
			webhook.ShapeV2, "call.hangup", "", ""},
		{"API v2, id is a big number", jsonType, `{"data":{"event_type":"x","id":12345678901234567890}}`,
			webhook.ShapeV2NoMeta, "x", "12345678901234567890", ""},
		{"without meta", jsonType, `{"data":{"id":"1","event_type":"fax.sent","payload":{}}}`,
			webhook.ShapeV2NoMeta, "fax.sent", "1", `{}`},
		{"meeting", jsonType, `{"id":"whdel_aB","event":"session.status_changed","version":"1","occurred_at":"2026-06-16T09:00:05Z","data":{"session_id":"s"}}`,
			webhook.ShapeMeeting, "session.status_changed", "whdel_aB", `{"session_id":"s"}`},
		{"portal inspector", jsonType, `{"created_at":"2026-01-02T03:04:05Z","event_type":"call.initiated","payload":{},"record_type":"event","webhook_id":"w"}`,
			webhook.ShapeInspector, "call.initiated", "w", `{}`},
		{"API v1", jsonType, `{"record_type":"event","id":"1","event_type":"call_answered","created_at":"2026-01-02T03:04:05Z","payload":{"to":"x"}}`,
			webhook.ShapeV1, "call_answered", "1", `{"to":"x"}`},
		{"stored porting event", jsonType, `{"id":"1","event_type":"porting_order.deleted","urls":[],"format":"json","payload":{}}`,
			webhook.ShapeStored, "porting_order.deleted", "1", `{}`},
		{"flat", jsonType, `{"event_type":"conference.floor.changed","id":"1","payload":{},"record_type":"event"}`,
			webhook.ShapeFlat, "conference.floor.changed", "1", `{}`},
		{"call-events record", jsonType, `{"name":"call.initiated","metadata":{"event":{"id":"1","event_type":"call.initiated","payload":{"x":2}},"status":"delivered"}}`,
			webhook.ShapeCallRecord, "call.initiated", "1", `{"x":2}`},
		{"resource", jsonType, `{"data":{"record_type":"link_clicked","url":"u"}}`,
			webhook.ShapeResource, "link_clicked", "", `{"record_type":"link_clicked","url":"u"}`},
		{"flat 10DLC", jsonType, `{"brandId":"b","campaignId":"c","type":"TELNYX_EVENT"}`,
			webhook.ShapeFlatCampaign, "10dlc.campaign.update", "", `{"brandId":"b","campaignId":"c","type":"TELNYX_EVENT"}`},
		{"messaging v1", jsonType, `{"sms_id":"s","delivery_status":""}`,
			webhook.ShapeV1Message, "", "s", `{"sms_id":"s","delivery_status":""}`},
		{"TeXML", formType, `CallSid=v3%3Ax&CallStatus=in-progress&Timestamp=2021-04-28+21%3A51%3A18.731479Z`,
			webhook.ShapeForm, "texml.call.answered", "", ""},
		{"TeXML recording", formType, `CallSid=x&RecordingSid=r&RecordingStatus=completed`,
			webhook.ShapeForm, "texml.recording.completed", "", ""},
		{"TeXML recording in progress, not yet named", formType, `CallSid=x&RecordingStatus=in-progress&RecordingSource=DialVerb`,
			webhook.ShapeForm, "texml.recording.in-progress", "", ""},
		{"TeXML gather", formType, `AccountSid=a&CallSid=x&From=1&To=2&Digits=`, webhook.ShapeForm, "texml.gather", "", ""},
		{"TeXML gather of speech", formType, `CallSid=x&From=1&To=2&CallStatus=in-progress&SpeechResult=hi`, webhook.ShapeForm, "texml.gather", "", ""},
		{"TeXML key", formType, `CallSid=x&CallStatus=dtmf&Digits=1`, webhook.ShapeForm, "texml.call.dtmf", "", ""},
		{"TeXML record, ended by a key", formType, `CallSid=x&CallStatus=in-progress&Digits=%23&RecordingUrl=u`, webhook.ShapeForm, "texml.call.answered", "", ""},
		{"TeXML AI gather without results", formType, `AccountSid=a&CallSid=x&ConnectionId=7&From=1&To=2&Status=invalid`, webhook.ShapeForm, "texml.ai_gather", "", ""},
		{"TeXML HTTP request, nothing mapped", formType, `AccountSid=a&CallSid=x&ConnectionId=7&From=1&To=2`, webhook.ShapeForm, "texml.http_request", "", ""},
		{"TeXML, without what every call has", formType, `AccountSid=a&CallSid=x&From=1&To=2&Status=valid`, webhook.ShapeForm, "", "", ""},
		{"TeXML progress of a new kind", formType, `AccountSid=a&CallSid=x&ConnectionId=7&From=1&To=2&CallbackSource=call-progress-events`, webhook.ShapeForm, "", "", ""},
		{"TeXML speaker", formType, `CallSid=x&StatusCallbackEvent=participant-speech-stop`, webhook.ShapeForm, "texml.participant-speech-stop", "", ""},
		{"TeXML with a status that is no word", formType, `CallStatus=a.b*`,
			webhook.ShapeForm, "texml.call", "", ""},
		{"form that is none", formType, `%zz`, webhook.ShapeForm, "", "", ""},
		{"your own JSON", jsonType, `{"order":7}`, webhook.ShapeRaw, "", "", `{"order":7}`},
		{"type that is no string", jsonType, `{"data":{"event_type":{"a":1},"payload":{}}}`, webhook.ShapeV2NoMeta, "", "", `{}`},
		{"array", jsonType, `[1,2]`, webhook.ShapeRaw, "", "", ""},
		{"text", "text/plain", `hello`, webhook.ShapeRaw, "", "", ""},
		{"nothing", jsonType, ``, webhook.ShapeRaw, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := webhook.Decode(tt.contentType, []byte(tt.body))
			if e.Shape != tt.shape || e.Type != tt.typ || e.ID != tt.id || string(e.Payload) != tt.payload {
				t.Errorf("shape %q type %q id %q payload %s\nwant  %q type %q id %q payload %s",
					e.Shape, e.Type, e.ID, e.Payload, tt.shape, tt.typ, tt.id, tt.payload)
			}
			if e.Ambiguous != "" {
				t.Errorf("ambiguous: %s", e.Ambiguous)
			}
			if string(e.Raw) != tt.body {
				t.Errorf("Raw = %q", e.Raw)
			}
		})
	}
}

// TestCreatedAt: an event that says when it was made keeps that apart from when
// it happened.
func TestCreatedAt(t *testing.T) {
	for _, name := range event.Samples() {
		body, _ := event.Sample(name)
		e := webhook.Decode(event.SampleContentType(name), body)
		if has := bytes.Contains(body, []byte("\n    \"created_at\"")); has == e.CreatedAt.IsZero() {
			t.Errorf("%s: created at %q", name, e.CreatedAt)
		}
		if strings.HasPrefix(name, "call.conversation.created") && (e.CreatedAt.Raw != "2026-03-04T13:01:27.104150Z" || e.CreatedAt.Equal(e.OccurredAt.Time)) {
			t.Errorf("%s: created at %q, occurred at %q", name, e.CreatedAt, e.OccurredAt)
		}
	}
}

// TestAmbiguousBodiesHaveNoRoute: two correct parsers can read different
// events from these bodies.
func TestAmbiguousBodiesHaveNoRoute(t *testing.T) {
	for name, body := range map[string]string{
		"event_type twice":           `{"data":{"event_type":"call.hangup","event_type":"message.sent"}}`,
		"event_type twice, escaped":  `{"data":{"event_type":"call.hangup","\u0065vent_type":"message.sent"}}`,
		"data twice":                 `{"data":{"event_type":"call.hangup"},"data":{"event_type":"message.sent"}}`,
		"id twice":                   `{"data":{"event_type":"call.hangup","id":"1","id":"2"}}`,
		"payload twice":              `{"data":{"event_type":"call.hangup","payload":{},"payload":{}}}`,
		"meta twice":                 `{"data":{"event_type":"call.hangup"},"meta":{},"meta":{}}`,
		"second document":            `{"data":{"event_type":"call.hangup"}}{"data":{}}`,
		"text behind":                `{"data":{"event_type":"call.hangup"}} x`,
		"invalid UTF-8":              "{\"data\":{\"event_type\":\"call.hangup\",\"x\":\"\xff\"}}",
		"byte order mark":            "\ufeff" + `{"data":{"event_type":"call.hangup"}}`,
		"cut":                        `{"data":{"event_type":"call.hangup"`,
		"trailing comma":             `{"data":{"event_type":"call.hangup",}}`,
		"leading zero":               `{"data":{"event_type":"call.hangup","n":01}}`,
		"control character":          "{\"data\":{\"event_type\":\"call.hangup\",\"x\":\"\n\"}}",
		"nested without end in view": `{"data":{"event_type":"call.hangup","payload":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			e := webhook.Decode(jsonType, []byte(body))
			if e.Ambiguous == "" || e.Type != "" || e.ID != "" {
				t.Errorf("type %q id %q ambiguous %q; want no route and a reason", e.Type, e.ID, e.Ambiguous)
			}
			if string(e.Raw) != body {
				t.Error("the bytes were not kept")
			}
		})
	}
	same := webhook.Decode(jsonType, []byte(`{"data":{"event_type":"call.hangup","EVENT_TYPE":"x","payload":{"id":1,"id":2}}}`))
	if same.Type != "call.hangup" || same.Ambiguous != "" {
		t.Errorf("type %q, ambiguous %q: names differ by case, and duplicates inside the payload decide no route", same.Type, same.Ambiguous)
	}
}

func TestKeyIdentifiesDuplicates(t *testing.T) {
	decode := func(s string) *webhook.Event { return webhook.Decode(jsonType, []byte(s)) }
	same := [][2]string{
		{`{"data":{"event_type":"a","id":"86F58DB9-0FE3-4ADC-9D1F-46E66E6E9323"},"meta":{"attempt":1}}`,
			`{"data":{"event_type":"a","id":"86f58db9-0fe3-4adc-9d1f-46e66e6e9323"},"meta":{"attempt":2}}`},
		{`{"data":{"record_type":"link_clicked","to":"1"},"meta":{"attempt":1}}`,
			`{"data":{"record_type":"link_clicked","to":"1"},"meta":{"attempt":2}}`},
		{`{"meta":{"attempt":1},"data":{"event_type":"a"}}`, `{"meta":{"attempt":22},"data":{"event_type":"a"}}`},
	}
	for _, pair := range same {
		if a, b := decode(pair[0]).Key(), decode(pair[1]).Key(); a != b {
			t.Errorf("one event has the keys %s and %s:\n%s\n%s", a, b, pair[0], pair[1])
		}
	}
	different := []string{
		`{"data":{"event_type":"a","id":"whdel_Ab"}}`, `{"data":{"event_type":"a","id":"whdel_aB"}}`,
		`{"data":{"record_type":"l","to":"1"}}`, `{"data":{"record_type":"l","to":"2"}}`,
		`{"data":{"event_type":"a","id":"x","id":"y"}}`, `{"data":{"event_type":"a","id":"y","id":"x"}}`, ``,
	}
	keys := map[string]string{}
	for _, body := range different {
		key := decode(body).Key()
		if other, taken := keys[key]; taken {
			t.Errorf("%q and %q have one key", body, other)
		}
		keys[key] = body
	}
}

func TestEverySampleDecodesToItsName(t *testing.T) {
	for _, name := range event.Samples() {
		body, _ := event.Sample(name)
		e := webhook.Decode(event.SampleContentType(name), body)
		if e.Type != name || e.Ambiguous != "" || e.Shape == webhook.ShapeRaw {
			t.Errorf("%s: shape %q, type %q, ambiguous %q", name, e.Shape, e.Type, e.Ambiguous)
		}
		info, _ := event.Lookup(name)
		if shape := webhook.Shape(info.Envelope); e.Shape != shape {
			t.Errorf("%s: shape %q, the catalogue says %q", name, e.Shape, shape)
		}
		if e.Shape == webhook.ShapeV2 && (e.ID == "" || e.Meta.Attempt != 1) {
			t.Errorf("%s: id %q, meta %+v", name, e.ID, e.Meta)
		}
	}
}

// FuzzDecode holds the scanner against encoding/json: what one calls a valid
// object with one type, the other must not read differently.
func FuzzDecode(f *testing.F) {
	for _, name := range event.Samples() {
		body, _ := event.Sample(name)
		f.Add(event.SampleContentType(name), body)
	}
	f.Add(formType, []byte("CallSid=a&CallStatus=completed"))
	f.Add(jsonType, []byte(`{"data":{"event_type":"a","id":"\ud83c"},"meta":{"attempt":"1"}}`))
	f.Add(jsonType, []byte(`{"a":[-0.1e+5,true,null,"\u00e9"]} `))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		before := bytes.Clone(body)
		e := webhook.Decode(contentType, body)
		_ = e.Key()
		if !bytes.Equal(body, before) || !bytes.Equal(e.Raw, before) {
			t.Fatal("the body was changed")
		}
		if e.Payload != nil && !bytes.Contains(body, e.Payload) {
			t.Fatal("the payload is not part of the body")
		}
		if e.Shape == webhook.ShapeForm {
			return
		}
		var object map[string]json.RawMessage
		err := json.Unmarshal(body, &object)
		valid := err == nil && object != nil && utf8.Valid(body)
		if e.Payload != nil && !valid {
			t.Fatalf("payload found in what is no JSON object: %v", err)
		}
		if valid && e.Shape == webhook.ShapeRaw && e.Ambiguous == "" && e.Payload == nil {
			t.Fatal("a valid object was taken for no JSON")
		}
		if e.Type == "" || e.Shape != webhook.ShapeV2 && e.Shape != webhook.ShapeV2NoMeta {
			return
		}
		var data map[string]scalarText
		if err := json.Unmarshal(object["data"], &data); err != nil {
			t.Fatalf("data of an event does not decode: %v", err)
		}
		if string(data["event_type"]) != e.Type {
			t.Fatalf("type %q, encoding/json reads %q", e.Type, data["event_type"])
		}
	})
}

// scalarText is the text of a string or number.
type scalarText string

func (a *scalarText) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*a = scalarText(s)
	} else {
		*a = scalarText(b)
	}
	return nil
}
