package event_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// TestSurprisesAreNamed: a field of a type that nobody expected costs only
// itself, and Decode says which it was.
func TestSurprisesAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload string
		want    []string
	}{
		{"nothing odd", `{"text":"a","parts":1,"from":"+1","to":[{"phone_number":"+2"}],"cost":{"amount":0.5}}`, nil},
		{"nulls", `{"text":null,"from":null,"to":null,"cost":null,"media":[{"url":null}],"parts":null}`, nil},
		{"empty in another way", `{"text":"","from":{},"to":[],"cost":{"amount":""},"tcr_campaign_billable":false}`, nil},
		{"fields that are not known", `{"tomorrow":{"a":[1]},"from":{"tomorrow":7}}`, nil},
		{"a plain field", `{"parts":"two","text":"kept"}`, []string{"parts"}},
		{"several plain fields", `{"parts":"two","id":{"a":1},"text":"kept"}`, []string{"id", "parts"}},
		{"a gentle field", `{"cost":{"amount":{"value":"1"},"currency":"USD"},"text":"kept"}`, []string{"cost.amount"}},
		{"inside an endpoint", `{"from":{"phone_number":7,"carrier":"C"},"text":"kept"}`, []string{"from.phone_number"}},
		{"inside a list", `{"to":[{"phone_number":"+1"},{"phone_number":{"n":1},"carrier":"C"}],"text":"kept"}`, []string{"to.1.phone_number"}},
		{"a whole element", `{"media":[7],"text":"kept"}`, []string{"media.0"}},
		{"a time", `{"sent_at":{"s":1},"text":"kept"}`, []string{"sent_at"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m event.Message
			err := event.Decode([]byte(tt.payload), &m)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			fields, ok := errors.AsType[*event.FieldError](err)
			if !ok || !slices.Equal(fields.Fields, tt.want) {
				t.Errorf("%v, want the fields %q", err, tt.want)
			}
			if m.Text != "kept" {
				t.Errorf("another field was lost: %+v", m)
			}
		})
	}
	if err := event.Decode([]byte(`{`), new(event.Message)); err == nil {
		t.Error("broken JSON was decoded")
	}
}

// TestSurprisesAreNamedAsDocumented: a name does not depend on how it was spelled,
// on the Go types behind it, nor on the version of encoding/json.
func TestSurprisesAreNamedAsDocumented(t *testing.T) {
	for payload, want := range map[string][]string{
		`{"to":[1,"a",{"carrier":[1]}]}`:       {"to"}, // promoted from an embedded struct
		`{"from":[1]}`:                         {"from"},
		`{"call_control_id":7}`:                {"call_control_id"},
		`{"CALL_CONTROL_ID":7}`:                {"call_control_id"},
		`{"recording_urls":7}`:                 {"recording_urls"},
		`{"call_leg_id":"l","channels":[7]}`:   {"channels"},
		`{"call_leg_id":"l","From":{"a":[1]}}`: {"from"},
	} {
		var c event.CallRecordingSavedPayload
		fields, ok := errors.AsType[*event.FieldError](event.Decode([]byte(payload), &c))
		if !ok || !slices.Equal(fields.Fields, want) {
			t.Errorf("%s: %v, want the fields %q", payload, fields, want)
		}
	}
	var m event.Message
	fields, ok := errors.AsType[*event.FieldError](event.Decode([]byte(`{"PARTS":"two"}`), &m))
	if !ok || !slices.Equal(fields.Fields, []string{"parts"}) {
		t.Errorf("%v, want the field parts", fields)
	}
}

// TestSurprisesOfOthersAreTheirs: payloads that are decoded at the same time do
// not blame each other.
func TestSurprisesOfOthersAreTheirs(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				var m event.Message
				payload := `{"text":"a","from":"+1"}`
				if i%2 == 0 {
					payload = `{"text":"a","from":{"phone_number":1}}`
				}
				if err := event.Decode([]byte(payload), &m); (err != nil) != (i%2 == 0) {
					t.Errorf("%s: %v", payload, err)
				}
			}
		})
	}
	wg.Wait()
}
