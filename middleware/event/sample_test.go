package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
)

const formType = "application/x-www-form-urlencoded"

// payloadIn returns the part of a body that is decoded into a payload type.
func payloadIn(t testing.TB, contentType string, body []byte) json.RawMessage {
	t.Helper()
	if contentType == formType {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatal(err)
		}
		object := make(map[string]any)
		for key, values := range form {
			if object[key] = any(values[0]); len(values) > 1 {
				object[key] = values
			}
		}
		payload, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		return payload
	}
	var top struct {
		Payload json.RawMessage
		Data    json.RawMessage
	}
	var data struct{ Payload json.RawMessage }
	if err := json.Unmarshal(body, &top); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(top.Data, &data)
	for _, payload := range []json.RawMessage{data.Payload, top.Data, top.Payload} {
		if payload != nil {
			return payload
		}
	}
	return body
}

// isWarning reports whether an error of decoding a payload only says that some
// plain field had another type.
func isWarning(err error) bool {
	var typeError *json.UnmarshalTypeError
	return errors.As(err, &typeError)
}

// lost returns the paths of the scalars in sent that are not in the typed
// value: those that no field has, or that a field has differently. Names of
// array elements end in [].
func lost(t testing.TB, sent []byte, typed any) []string {
	t.Helper()
	encoded, err := json.Marshal(typed)
	if err != nil {
		t.Fatalf("%T does not encode: %v", typed, err)
	}
	paths := make(map[string]bool)
	compare(paths, "", anyOf(t, sent), anyOf(t, encoded))
	return slices.Sorted(maps.Keys(paths))
}

func anyOf(t testing.TB, b []byte) (v any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return v
}

func compare(paths map[string]bool, path string, sent, got any) {
	// One value, where a list is modelled.
	if list, ok := got.([]any); ok && len(list) == 1 && reflect.TypeOf(sent) != reflect.TypeOf(got) {
		got = list[0]
	}
	switch sent := sent.(type) {
	case nil:
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			if len(sent) > 0 {
				paths[path] = true
			}
			return
		}
		for name, v := range sent {
			compare(paths, strings.TrimPrefix(path+"."+name, "."), v, object[name])
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(sent) {
			if len(sent) > 0 {
				paths[path] = true
			}
			return
		}
		for i := range sent {
			compare(paths, path+"[]", sent[i], list[i])
		}
	default:
		if object, ok := got.(map[string]any); ok {
			// A text that stands for an object, in JSON or by its main field.
			var inner any
			decoder := json.NewDecoder(strings.NewReader(fmt.Sprint(sent)))
			decoder.UseNumber()
			if decoder.Decode(&inner) == nil && reflect.TypeOf(inner) == reflect.TypeOf(got) {
				compare(paths, path, inner, got)
				return
			}
			for _, main := range []string{"phone_number", "email", "value"} {
				if object[main] == sent {
					return
				}
			}
		}
		if got == nil && !slices.Contains([]any{"", false, json.Number("0")}, sent) || got != nil && fmt.Sprint(sent) != fmt.Sprint(got) {
			paths[path] = true
		}
	}
}

func TestEveryNameHasASampleThatDecodesWhole(t *testing.T) {
	names := slices.DeleteFunc(event.Names(), func(name string) bool { return strings.HasPrefix(name, "test.") })
	samples := event.Samples()
	if !slices.Equal(names, samples) {
		for _, name := range names {
			if !slices.Contains(samples, name) {
				t.Errorf("%s has no sample", name)
			}
		}
		for _, name := range samples {
			if !slices.Contains(names, name) {
				t.Errorf("the sample %s has no name", name)
			}
		}
		t.Fatal("names and samples differ, or their order does")
	}
	total := 0
	for _, name := range names {
		body, _ := event.Sample(name)
		total += len(body)
		payload := payloadIn(t, event.SampleContentType(name), body)
		typed := event.NewPayload(name)
		if err := json.Unmarshal(payload, typed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, path := range lost(t, payload, typed) {
			if name == "conversation.insights.completed" && path == "event_type" {
				continue // of the envelope, which is the payload here
			}
			t.Errorf("%s: %s is lost", name, path)
		}
	}
	if total > 400<<10 {
		t.Errorf("the samples have %d bytes; keep them small, they are part of every program", total)
	}
}

func TestSampleForm(t *testing.T) {
	for _, name := range event.Samples() {
		body, _ := event.Sample(name)
		if strings.HasPrefix(name, "texml.") {
			if event.SampleContentType(name) != formType || bytes.ContainsAny(body, "\n {") {
				t.Errorf("%s: %s", name, body)
			}
			continue
		}
		if got := event.SampleContentType(name); got != "application/json" {
			t.Errorf("%s has the type %q", name, got)
		}
		if name == "message.sent" {
			continue // Telnyx's own, in another order
		}
		// Real deliveries: names in order, indented by two.
		want, err := json.MarshalIndent(anyOf(t, body), "", "  ")
		if err != nil || string(body) != unescape(string(want))+"\n" {
			t.Errorf("%s is not printed as Telnyx prints it: %v", name, err)
		}
	}
	if _, ok := event.Sample("../event"); ok {
		t.Error("Sample reads other files")
	}
	if got := event.SampleContentType("no.such"); got != "" {
		t.Errorf("SampleContentType of nothing = %q", got)
	}
}

// unescape undoes and redoes what encoders of different languages escape.
func unescape(s string) string {
	s = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(s)
	var out strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80:
			out.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		}
	}
	return out.String()
}

// otherForms are payloads with fields that the sample of their event does not
// have, since they would not go together.
var otherForms = map[string]string{
	"10dlc.campaign.update":       `{"createDate":"2026-03-01"}`,
	"call.initiated":              `{"flow_destination":"menu"}`,
	"call.hangup":                 `{"telnyx_error":"D11"}`,
	"conversation_insight_result": `{"insights_instructions":"be brief"}`,
	"message.finalized": `{"template_id":"t","template_name":"n","group_message_id":"g","subject":"s","smart_encoding_applied":true,
		"tcr_campaign_id":"c","tcr_campaign_billable":true,"tcr_campaign_registered":"REGISTERED","webhook_failover_url":"https://b.example.com",
		"cc":["+15550100003"],"to":[{"phone_number":"+15550100004","error_code":40008,"error_message":"gone"}]}`,
	"message.received": `{"autoresponse_type":"HELP","is_spam":true,"media":[{"url":"u","content_type":"image/png","sha256":"a","hash_sha256":"b","size":7}],
		"body":{"id":"i","type":"text","from":"1","from_user_id":"u","foreign_id":"f","timestamp":"1","text":{"body":"hi"},
		"user_file":{"payload":{"file_name":"a","file_size_bytes":1,"file_uri":"u","mime_type":"m"},"thumbnail":{"file_name":"b"}},
		"suggestion_response":{"postback_data":"p","text":"t"},"location":{"latitude":1.5,"longitude":2.5},
		"edit":{"original_message_id":"o","message":{"text":"x"}},"revoke":{"original_message_id":"o"}}}`,
	"number_order.complete": `{"sub_number_order_ids":["s"],"webhook_url":"u","webhook_failover_url":"v","phone_numbers":{"regulatory_group_id":"g"}}`,
}

// TestEveryFieldIsReached: no field has a JSON name that nothing sends.
func TestEveryFieldIsReached(t *testing.T) {
	reached, all := make(map[string]bool), make(map[string]bool)
	for _, name := range event.Samples() {
		body, _ := event.Sample(name)
		for _, payload := range []string{string(payloadIn(t, event.SampleContentType(name), body)), otherForms[name]} {
			if payload == "" {
				continue
			}
			typed := event.NewPayload(name)
			if err := json.Unmarshal([]byte(payload), typed); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			visit(reflect.ValueOf(typed), reached, all)
		}
	}
	for field := range all {
		if !reached[field] {
			t.Errorf("%s is zero in every sample", field)
		}
	}
}

// visit marks the fields of the package's structs in v, and those not zero.
func visit(v reflect.Value, reached, all map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			visit(v.Elem(), reached, all)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visit(v.Index(i), reached, all)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || v.Type() == reflect.TypeFor[event.Time]() {
				continue
			}
			name := v.Type().String() + "." + field.Name
			all[name] = true
			zero := v.Field(i).IsZero()
			if at, ok := v.Field(i).Interface().(event.Time); ok {
				zero = at.IsZero() // and not merely some text
			}
			reached[name] = reached[name] || !zero
			visit(v.Field(i), reached, all)
		}
	}
}
