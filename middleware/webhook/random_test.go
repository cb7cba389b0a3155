package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/repeat"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// TestRandomBodies: twenty random bodies of every event type (two with -short), made
// from the fields of its payload, reach the handler of their name, byte for byte, and
// decode without a warning, as encoding/json decodes them.
func TestRandomBodies(t *testing.T) {
	signer := webhooktest.NewSigner()
	v := &webhook.Verifier{Keys: signer.Keys()}
	var mux webhook.Mux
	var got []*webhook.Event
	for _, name := range event.Samples() {
		mux.Handle(name, func(_ context.Context, e *webhook.Event) error {
			if e.Type != name {
				t.Errorf("the handler of %s got %s", name, e.Type)
			}
			got = append(got, e)
			return nil
		})
	}
	handler := v.Handler(&mux)
	for _, name := range event.Samples() {
		for i := range repeat.Times(20) {
			g := generator{rand.New(rand.NewPCG(uint64(i), uint64(len(name))))}
			body, contentType := g.body(t, name)
			got = nil
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			signer.Sign(r.Header, time.Now(), body)
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, r)
			if rec.Code != http.StatusOK || len(got) != 1 {
				t.Fatalf("%s: answered %d, handled %d times: %s", name, rec.Code, len(got), body)
			}
			if !bytes.Equal(got[0].Raw, body) {
				t.Fatalf("%s: the bytes were changed:\n%s\n%s", name, body, got[0].Raw)
			}
			fast, slow := event.NewPayload(name), event.NewPayload(name)
			if err := got[0].DecodePayload(fast); err != nil {
				t.Errorf("%s: %v in %s", name, err, body)
			}
			if payload := got[0].Payload; payload != nil {
				if err := json.Unmarshal(payload, slow); err != nil || !reflect.DeepEqual(fast, slow) {
					t.Errorf("%s: %+v\nencoding/json: %+v, %v", name, fast, slow, err)
				}
			}
		}
	}
}

// generator makes bodies.
type generator struct{ *rand.Rand }

// telling are the fields of forms by which their types are told apart; a random
// one would be of another type.
var telling = []string{
	"AccountSid", "AnsweredBy", "CallSid", "CallStatus", "CallbackSource", "ConnectionId", "Digits", "From", "QueueSid",
	"RecordingSid", "RecordingStatus", "RecordingUrl", "ReferCallStatus", "SiprecEvent", "SpeechResult", "Status",
	"StatusCallbackEvent", "StreamEvent", "To", "Transcript", "TranscriptionSid",
}

// body returns a body of an event type: the envelope of its sample around a
// payload of random fields.
func (g generator) body(t *testing.T, name string) (body []byte, contentType string) {
	sample, _ := event.Sample(name)
	contentType = event.SampleContentType(name)
	if contentType != jsonType {
		form, err := url.ParseQuery(string(sample))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range event.Fields(name) {
			switch {
			case slices.Contains(telling, f.Path) || strings.Contains(f.Path, "."):
			case g.IntN(3) == 0:
				form.Del(f.Path)
			case f.JSON[0] != "object":
				if value := g.value([]string{f.JSON[0]}, f.Go); value != nil {
					form.Set(f.Path, fmt.Sprint(value))
				}
			}
		}
		return []byte(form.Encode()), contentType
	}
	var top map[string]any
	if err := json.Unmarshal(sample, &top); err != nil {
		t.Fatal(err)
	}
	payload := make(map[string]any)
	for _, f := range event.Fields(name) {
		g.put(payload, strings.Split(f.Path, "."), f)
	}
	data, _ := top["data"].(map[string]any)
	info, _ := event.Lookup(name)
	switch {
	case data["payload"] != nil:
		data["payload"] = payload
	case top["payload"] != nil:
		top["payload"] = payload
	case info.Envelope == "meeting":
		top["data"] = payload
	case data != nil: // a resource
		payload["record_type"] = data["record_type"]
		top["data"] = payload
	default:
		payload["event_type"] = top["event_type"]
		top = payload
	}
	body, err := json.Marshal(top)
	if g.IntN(2) == 0 {
		body, err = json.MarshalIndent(top, "", "  ")
	}
	if err != nil {
		t.Fatal(err)
	}
	return body, contentType
}

// put puts a random value of a field in its place, or leaves it out.
func (g generator) put(object map[string]any, path []string, f event.Field) {
	name, list := strings.CutSuffix(path[0], "[]")
	if len(path) == 1 {
		if g.IntN(4) > 0 {
			object[name] = g.value(f.JSON, f.Go)
		}
		return
	}
	switch inner := object[name].(type) {
	case map[string]any:
		g.put(inner, path[1:], f)
	case []any:
		if len(inner) > 0 && list {
			if first, ok := inner[0].(map[string]any); ok {
				g.put(first, path[1:], f)
			}
		}
	}
}

// value returns a random value of one of the types of JSON, for a Go type.
func (g generator) value(kinds []string, typ reflect.Type) any {
	if g.IntN(10) == 0 {
		return nil
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch kind := kinds[g.IntN(len(kinds))]; kind {
	case "boolean":
		return g.IntN(2) == 0
	case "number":
		if typ.Kind() == reflect.Int || typ.Kind() == reflect.Int64 {
			return g.IntN(100000)
		}
		return float64(g.IntN(100000)) / 100
	case "object":
		return map[string]any{}
	case "array":
		if kinds[len(kinds)-1] == "object" || slices.Contains(kinds, "object") {
			return []any{map[string]any{}}
		}
		return []any{g.value(kinds[1:], typ.Elem())}
	case "string":
		switch typ {
		case reflect.TypeFor[event.Time]():
			return time.Unix(g.Int64N(2e9), 0).UTC().Format(time.RFC3339)
		case reflect.TypeFor[event.Int]():
			return fmt.Sprint(g.IntN(100000))
		case reflect.TypeFor[event.Bool]():
			return fmt.Sprint(g.IntN(2) == 0)
		case reflect.TypeFor[event.QualityStats]():
			return `{"inbound":{"mos":"4.4"}}`
		}
		words := []string{"", "kitchen", "+15550100001", "a \"quoted\" word", "Gr\u00fc\u00dfe", "line\nbreak", "\U0001f37d", `back\slash`, "<&>", "0"}
		return words[g.IntN(len(words))]
	}
	return []any{"any", g.IntN(10)}
}
