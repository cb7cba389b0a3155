package event_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/repeat"
	"github.com/hookswitch/hookswitch/middleware/event"
)

// newPayloads makes a zero payload of each type, once.
func newPayloads() []any {
	payloads := make(map[reflect.Type]any)
	for _, name := range event.Names() {
		payload := event.NewPayload(name)
		payloads[reflect.TypeOf(payload)] = payload
	}
	return slices.SortedFunc(maps.Values(payloads), func(a, b any) int {
		return strings.Compare(reflect.TypeOf(a).String(), reflect.TypeOf(b).String())
	})
}

// TestSurprisingTypes puts JSON of every type into every field of every
// sample: decoding may only warn, and must not lose any other field. With -short it
// does so for a tenth of them, which the order of the map chooses: others every time.
func TestSurprisingTypes(t *testing.T) {
	every, count := 10/repeat.Times(10), 0
	surprises := []string{`{}`, `[]`, `[{"a":[]}]`, `"text"`, `1.5`, `true`, `null`}
	seen := make(map[reflect.Type]bool)
	for _, name := range event.Samples() {
		typ := reflect.TypeOf(event.NewPayload(name))
		if seen[typ] {
			continue
		}
		seen[typ] = true
		body, _ := event.Sample(name)
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(payloadIn(t, event.SampleContentType(name), body), &fields); err != nil {
			t.Fatal(err)
		}
		for field, was := range fields {
			for _, surprise := range surprises {
				if count++; count%every != 0 {
					continue
				}
				fields[field] = json.RawMessage(surprise)
				payload, err := json.Marshal(fields)
				if err != nil {
					t.Fatal(err)
				}
				typed := event.NewPayload(name)
				if err := json.Unmarshal(payload, typed); err != nil && !isWarning(err) {
					t.Errorf("%s with %q: %s fails with %T: %v", name, field, surprise, err, err)
				}
				for _, path := range lost(t, payload, typed) {
					if root, _, _ := strings.Cut(strings.ReplaceAll(path, "[]", ""), "."); root != field && root != "event_type" {
						t.Errorf("%s with %q: %s loses %s", name, field, surprise, path)
					}
				}
			}
			fields[field] = was
		}
	}
}

// FuzzPayloads decodes any JSON into every payload: only the type of a plain
// field may be wrong, and plain fields agree with encoding/json into any.
func FuzzPayloads(f *testing.F) {
	seen := make(map[reflect.Type]bool) // one seed a type
	for _, name := range event.Samples() {
		if typ := reflect.TypeOf(event.NewPayload(name)); !seen[typ] {
			seen[typ] = true
			body, _ := event.Sample(name)
			f.Add([]byte(payloadIn(f, event.SampleContentType(name), body)))
		}
	}
	for _, body := range []string{
		`null`, `[]`, `"text"`, `1e999`, `{"from":[[]],"to":{"to":"to"},"errors":{"source":[]}}`,
		`{"call_quality_stats":"{\"inbound\":\"x\"}","CallQualityStats":"\"{}\"","id":"a","ID":"b","id":3}`,
		`{"status":{"value":["a"]},"results":[[{"result":[]}]],"numbers":"1","tags":[1,null,{}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		var plain map[string]any
		_ = json.Unmarshal(body, &plain) // nil if it is not an object
		for _, payload := range newPayloads() {
			if err := json.Unmarshal(body, payload); err != nil && !isWarning(err) {
				t.Fatalf("%T: valid JSON fails with %T: %v", payload, err, err)
			}
			if _, err := json.Marshal(payload); err != nil {
				t.Fatalf("%T: what was decoded does not encode: %v", payload, err)
			}
			agree(t, reflect.ValueOf(payload).Elem(), plain)
		}
	})
}

// agree compares the plain fields of a struct with an object. Keys that differ
// only in case are left out: encoding/json takes them for the same field.
func agree(t *testing.T, v reflect.Value, object map[string]any) {
	if v.Kind() != reflect.Struct {
		return
	}
	for _, field := range reflect.VisibleFields(v.Type()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || name == "" || name == "-" {
			continue
		}
		alike := 0
		for key := range object {
			if strings.EqualFold(key, name) {
				alike++
			}
		}
		if alike != 1 {
			continue
		}
		got := v.FieldByIndex(field.Index).Interface()
		switch sent := object[name].(type) {
		case string:
			switch got := got.(type) {
			case string:
				if got != sent {
					t.Errorf("%s.%s = %q, sent was %q", v.Type(), field.Name, got, sent)
				}
			case event.Text:
				if string(got) != sent {
					t.Errorf("%s.%s = %q, sent was %q", v.Type(), field.Name, got, sent)
				}
			case event.Time:
				if got.Raw != sent {
					t.Errorf("%s.%s = %q, sent was %q", v.Type(), field.Name, got.Raw, sent)
				}
			}
		case bool:
			switch got := got.(type) {
			case bool:
				if got != sent {
					t.Errorf("%s.%s = %v, sent was %v", v.Type(), field.Name, got, sent)
				}
			case event.Bool:
				if bool(got) != sent {
					t.Errorf("%s.%s = %v, sent was %v", v.Type(), field.Name, got, sent)
				}
			}
		case map[string]any:
			if inner := reflect.ValueOf(got); inner.Kind() == reflect.Struct {
				if _, ok := inner.Interface().(json.Marshaler); !ok {
					agree(t, inner, sent)
				}
			}
		}
	}
}
