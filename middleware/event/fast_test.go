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

// TestFastAgrees holds decodeFast against encoding/json on a payload with every
// kind of field that a plan knows: what is done the fast way is done as it does.
func TestFastAgrees(t *testing.T) {
	type inner struct {
		A string `json:"a"`
		B int64  `json:"b"`
	}
	type payload struct {
		Status string   `json:"status"`
		Count  int      `json:"count"`
		On     bool     `json:"on"`
		Text   Text     `json:"text"`
		Whole  Int      `json:"whole"`
		At     Time     `json:"at"`
		To     Endpoint `json:"to"`
		Value  Value    `json:"value"`
		In     inner    `json:"in"`
		Maybe  *inner   `json:"maybe"`
		Any    any      `json:"any"`
		List   List[inner]
	}
	for body, fast := range map[string]bool{
		`{"status":"a","count":1,"on":true,"text":2,"whole":"3","in":{"a":"b"},"maybe":{"b":4},"any":[5]}`: true,
		`{"status":null,"count":null,"on":null,"text":null,"in":null,"maybe":null,"to":null,"at":null}`:    true,
		`{"count":"1"}`:                              false,
		`{"count":1.0}`:                              false,
		`{"on":"true"}`:                              false,
		`{"status":1}`:                               false,
		`{"in":[]}`:                                  false,
		`{"status":"a","status":null}`:               true,
		`{"text":"a","text":null}`:                   true,
		`{"maybe":{"a":"b"},"maybe":null}`:           true,
		`{"maybe":{"a":"b"},"maybe":{"b":1}}`:        true,
		`{"in":{"a":"b"},"in":{"b":1}}`:              true,
		`{"to":{"status":"a"},"to":{"carrier":"b"}}`: true,
		`{"to":"a","to":{"carrier":"b"}}`:            true,
		`{"List":[{"a":"b"}],"List":[{"b":1},{}]}`:   true,
		`{"STATUS":"a"}`:                             false,
		"{\"\u017ftatus\":\"a\"}":                    false, // a long s, which encoding/json takes for one
		`{"\u0073tatus":"a"}`:                        false,
		`{"other":{"status":["]"]},"on":true}`:       true,
	} {
		var got, want payload
		ok := decodeFast([]byte(body), reflect.ValueOf(&got).Elem())
		err := json.Unmarshal([]byte(body), &want)
		if ok != fast {
			t.Errorf("%s: the fast way: %v, want %v", body, ok, fast)
		}
		if ok && (err != nil || !reflect.DeepEqual(got, want)) {
			t.Errorf("%s:\n%+v\nencoding/json:\n%+v, %v", body, got, want, err)
		}
	}
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
