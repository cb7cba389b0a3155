package event_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/middleware/event"
)

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
		N event.Int
		B event.Bool
		V event.Value
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
		{`{"D":{},"X":{},"T":{},"E":[],"C":{},"N":{},"B":{},"V":null}`, values{}},
		{`{"D":[],"X":[],"T":[null],"C":[[1]],"N":[],"B":[]}`, values{}},
		{`{"D":["0.1","0.2"],"X":["a","b"],"E":["+1"],"C":["aGk="],"N":["7","8"],"B":["true"]}`,
			values{D: "0.1", X: "a", E: event.Endpoint{PhoneNumber: "+1"}, C: "aGk=", N: 7, B: true}},
		{`{"N":75,"B":true}`, values{N: 75, B: true}},
		{`{"N":"75","B":"true"}`, values{N: 75, B: true}},
		{`{"N":75.0,"B":1}`, values{N: 75, B: true}},
		{`{"N":"-3","B":"True"}`, values{N: -3, B: true}},
		{`{"N":9007199254740993,"B":"1"}`, values{N: 9007199254740993, B: true}}, // a float64 would lose the 3
		{`{"N":9223372036854775807,"B":false}`, values{N: 9223372036854775807}},
		{`{"N":"-9223372036854775808","B":"false"}`, values{N: -9223372036854775808}},
		{`{"N":9223372036854775808,"B":0}`, values{}},
		{`{"N":0.5,"B":"yes"}`, values{}},
		{`{"N":"two","B":""}`, values{}},
		{`{"V":"text"}`, values{V: event.Value(`"text"`)}},
		{`{"V": {"a": 1} }`, values{V: event.Value(`{"a": 1}`)}},
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

func TestValue(t *testing.T) {
	for sent, text := range map[string]string{
		`"a \"b\""`: `a "b"`, `{"a":1}`: `{"a":1}`, `[]`: `[]`, `1.50`: `1.50`, `true`: `true`, `null`: ``,
	} {
		var v event.Value
		if err := json.Unmarshal([]byte(sent), &v); err != nil || v.String() != text {
			t.Errorf("%s: String = %q, %v; want %q", sent, v.String(), err, text)
		}
		if encoded, err := json.Marshal(v); err != nil || string(encoded) != sent {
			t.Errorf("%s is encoded as %s, %v", sent, encoded, err)
		}
	}
	var facts struct{ Guests int }
	if err := event.Value(`{"guests":2}`).Decode(&facts); err != nil || facts.Guests != 2 {
		t.Errorf("Decode = %+v, %v", facts, err)
	}
	for _, v := range []event.Value{nil, event.Value(`"two"`)} {
		if err := v.Decode(&facts); err == nil || !strings.HasPrefix(err.Error(), "event: decode value: ") {
			t.Errorf("Value(%s).Decode = %v", v, err)
		}
	}
}

// TestStructsInEveryForm: what Telnyx sends as an object in one event and as
// something else in another.
func TestStructsInEveryForm(t *testing.T) {
	stats := event.QualityStats{MOS: "4.2", Inbound: event.StreamStats{PacketCount: "5"}}
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	tests := []struct {
		in        string
		got, want any
	}{
		{`{"mos":4.2,"inbound":{"packet_count":"5"}}`, new(event.QualityStats), &stats},
		{`"{\"mos\":\"4.2\",\"inbound\":{\"packet_count\":5}}"`, new(event.QualityStats), &stats},
		{`"no JSON"`, new(event.QualityStats), new(event.QualityStats)},
		{`{"inbound":"none","mos":4.2}`, new(event.QualityStats), &event.QualityStats{MOS: "4.2"}},

		{`{"name":"X-A","value":"1"}`, new(event.SIPHeader), &event.SIPHeader{Name: "X-A", Value: "1"}},
		{`{"header_name":"X-A","header_value":1}`, new(event.SIPHeader), &event.SIPHeader{Name: "X-A", Value: "1"}},
		{`"X-A: 1"`, new(event.SIPHeader), new(event.SIPHeader)},

		{`{"value":"exception","details":[{"code":"A"}]}`, new(event.PortingStatus),
			&event.PortingStatus{Value: "exception", Details: []event.PortingStatusDetail{{Code: "A"}}}},
		{`"ported"`, new(event.PortingStatus), &event.PortingStatus{Value: "ported"}},

		{`{"email":"a@example.com","name":null,"kind":"cc"}`, new(event.EmailAddress), &event.EmailAddress{Email: "a@example.com", Kind: "cc"}},
		{`"a@example.com"`, new(event.EmailAddress), &event.EmailAddress{Email: "a@example.com"}},

		{`{"pointer":"/to"}`, new(event.ProblemSource), &event.ProblemSource{Pointer: "/to"}},
		{`"smtp"`, new(event.ProblemSource), &event.ProblemSource{Place: "smtp"}},

		{`{"insight_id":"i","result":{"a":1}}`, new(event.InsightResult), &event.InsightResult{InsightID: "i", Result: event.Value(`{"a":1}`)}},
		{`"pleased"`, new(event.InsightResult), &event.InsightResult{Result: event.Value(`"pleased"`)}},

		{`{"text":"hi"}`, new(event.MessageBody), &event.MessageBody{Raw: raw(`{"text":"hi"}`), Text: "hi"}},
		{`{"text":{"body":"hi"},"timestamp":17}`, new(event.MessageBody),
			&event.MessageBody{Raw: raw(`{"text":{"body":"hi"},"timestamp":17}`), Text: "hi", Timestamp: "17"}},
		{`{"text":{"preview":true},"id":"x"}`, new(event.MessageBody), &event.MessageBody{Raw: raw(`{"text":{"preview":true},"id":"x"}`), ID: "x"}},
		{`"hi"`, new(event.MessageBody), &event.MessageBody{Raw: raw(`"hi"`), Text: "hi"}},
		{`{"location":{"latitude":52.5,"longitude":"13.4"}}`, new(event.MessageBody),
			&event.MessageBody{Raw: raw(`{"location":{"latitude":52.5,"longitude":"13.4"}}`), Location: &event.Location{Latitude: "52.5", Longitude: "13.4"}}},
	}
	for _, tt := range tests {
		if err := json.Unmarshal([]byte(tt.in), tt.got); err != nil {
			t.Errorf("%T from %s: %v", tt.got, tt.in, err)
		}
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%T from %s (-want +got):\n%s", tt.got, tt.in, diff)
		}
		// What was decoded is encoded in a form that decodes to the same.
		encoded, err := json.Marshal(tt.got)
		again := reflect.New(reflect.TypeOf(tt.got).Elem()).Interface()
		if err != nil || json.Unmarshal(encoded, again) != nil || !reflect.DeepEqual(again, tt.got) {
			t.Errorf("%T from %s is encoded as %s, %v", tt.got, tt.in, encoded, err)
		}
	}
	if encoded, err := json.Marshal(event.MessageBody{Text: "hi", Type: "text"}); err != nil || !strings.Contains(string(encoded), `"text":"hi"`) {
		t.Errorf("a body of one's own is encoded as %s, %v", encoded, err)
	}
}
