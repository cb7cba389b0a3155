package event

import (
	"encoding/json"
	"net/url"
	"reflect"
	"testing"
)

// FuzzFast holds decodeFast against encoding/json: where it says that all went
// the ordinary way, the result must be the same.
func FuzzFast(f *testing.F) {
	for i, name := range Names() {
		if body, ok := Sample(name); ok {
			var envelope struct {
				Data struct{ Payload json.RawMessage }
			}
			if json.Unmarshal(body, &envelope) == nil && envelope.Data.Payload != nil {
				f.Add(i, []byte(envelope.Data.Payload))
			}
			if form, err := url.ParseQuery(string(body)); err == nil && SampleContentType(name) != "application/json" {
				object := make(map[string]string)
				for key := range form {
					object[key] = form.Get(key)
				}
				payload, _ := json.Marshal(object) // texts always have a JSON form
				f.Add(i, payload)
			}
		}
	}
	f.Add(0, []byte(`{"Id":"folded","id":"plain","ID":null}`))
	f.Add(0, []byte(`{"text":"\u0041\ud83c","cost":{"amount":1,"AMOUNT":2},"parts":1.0}`))
	f.Add(0, []byte(`{"text":"a" "parts":1}`))
	names := Names()
	f.Fuzz(func(t *testing.T, i int, payload []byte) {
		name := names[uint(i)%uint(len(names))]
		fast, slow := NewPayload(name), NewPayload(name)
		v := reflect.ValueOf(fast).Elem()
		if howOf(v.Type()) != howStruct {
			return
		}
		ok := decodeFast(payload, v) // no panic, whatever it is
		err := json.Unmarshal(payload, slow)
		if !ok || !json.Valid(payload) {
			return
		}
		if err != nil {
			t.Fatalf("%s: decoded, and encoding/json says %v", name, err)
		}
		if !reflect.DeepEqual(fast, slow) {
			t.Fatalf("%s:\n%+v\nencoding/json:\n%+v", name, fast, slow)
		}
	})
}

// TestEveryPayloadHasAPlan: a payload type that cannot be decoded the fast way
// would go unnoticed.
func TestEveryPayloadHasAPlan(t *testing.T) {
	for _, name := range Names() {
		payload := reflect.TypeOf(NewPayload(name)).Elem()
		if howOf(payload) == howStruct && planOf(payload) == nil {
			t.Errorf("%s: %v has a name twice, or a tag that is not plain", name, payload)
		}
	}
}
