package deliveryapi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi/deliverytest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

func TestRecordEqualsTheDocumentedOne(t *testing.T) {
	a := newAPI(t, Config{Store: &records{deliveries: []store.Delivery{*deliverytest.Documented()}}, UserID: deliverytest.UserID})
	w := get(t, a, "/v2/webhook_deliveries/"+deliverytest.EventID)
	deliverytest.Compare(t, w.Body.Bytes())
	if body := w.Body.String(); w.Code != 200 || !strings.HasSuffix(body, "}\n") {
		t.Errorf("status %d, body %q", w.Code, body)
	}
}

func TestPayload(t *testing.T) {
	form := [][2]string{{"content-type", "application/x-www-form-urlencoded; charset=UTF-8"}}
	whole := func(body string) delivery.Event { return delivery.Event{Body: []byte(body), PayloadLen: len(body)} }
	for _, tt := range []struct {
		name  string
		event delivery.Event
		want  string
	}{
		{"an object is shown as it was sent", whole(`{"b":1.10,"a":[ true,null ],"a":2}`), `{"b":1.10,"a":[true,null],"a":2}`},
		{"numbers keep every digit", whole(`{"n":12345678901234567890.000100}`), `{"n":12345678901234567890.000100}`},
		{"markup and escapes stay", whole(`{"t":"<b>&\u003c\u2028` + "\u2028" + `\ud83d"}`), `{"t":"<b>&\u003c\u2028` + "\u2028" + `\ud83d"}`},
		{"a payload need not be an object", whole(`[1,"2"]`), `[1,"2"]`},
		{"bytes that are not UTF-8 are replaced", whole("{\"t\":\"a\xff\xfeb\"}"), "{\"t\":\"a\uFFFDb\"}"},
		{"a payload within the body", delivery.Event{Body: []byte(`{"payload":{"x":1}}`), PayloadOff: 11, PayloadLen: 7}, `{"x":1}`},
		{"a body without a payload", delivery.Event{Body: []byte(`{"a":1}`), PayloadLen: -1}, `{}`},
		{"a body that is not JSON", whole(`{"a":`), `{}`},
		{"an empty body", delivery.Event{}, `{}`},
		{"a payload that is nested too deep to be shown", whole(strings.Repeat("[", 9999) + strings.Repeat("]", 9999)), `{}`},
		{"a payload that lies about its place", delivery.Event{Body: []byte(`{}`), PayloadOff: 1, PayloadLen: int(^uint(0) >> 1)}, `{}`},
		{"a payload before the body", delivery.Event{Body: []byte(`{}`), PayloadOff: -1, PayloadLen: 1}, `{}`},

		{"the fields of a form in their order", delivery.Event{Header: form, PayloadLen: -1, Body: []byte("To=%2B15550001&From=a+b&AccountSid=&Empty")},
			`{"To":"+15550001","From":"a b","AccountSid":"","Empty":""}`},
		{"a field that is sent twice", delivery.Event{Header: form, PayloadLen: -1, Body: []byte("a=1&b=<&a=2")}, `{"a":["1","2"],"b":"<"}`},
		{"a form with a broken field", delivery.Event{Header: form, PayloadLen: -1, Body: []byte("a=%zz&b=%ff&&c=1")}, "{\"b\":\"\\ufffd\",\"c\":\"1\"}"},
		{"an empty form", delivery.Event{Header: form, PayloadLen: -1}, `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := store.Delivery{Event: &tt.event, Jobs: []delivery.Job{{State: delivery.Done}}}
			tt.event.ID = "e"
			w := get(t, newAPI(t, Config{Store: &records{deliveries: []store.Delivery{d}}}), "/v2/webhook_deliveries/e")
			var got struct {
				Data struct {
					Webhook struct{ Payload json.RawMessage }
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
			}
			if spelled(string(got.Data.Webhook.Payload)) != spelled(tt.want) {
				t.Errorf("payload %s, want %s", got.Data.Webhook.Payload, tt.want)
			}
		})
	}
}

// spelled writes those characters in one way that encoding/json writes as they
// are or escaped, by its version.
func spelled(text string) string {
	return strings.NewReplacer("\u2028", `\u2028`, "\u2029", `\u2029`, "\uFFFD", `\ufffd`).Replace(text)
}

func TestRecordOfOtherDeliveries(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 999_999_999, time.UTC)
	d := store.Delivery{
		Event: &delivery.Event{DeliveryID: "5f0e8f0e-0000-4000-8000-000000000001", ReceivedAt: at},
		Jobs:  []delivery.Job{{State: delivery.Done}, {State: delivery.Dead}},
		Attempts: []delivery.Attempt{
			{StartedAt: at.Add(3 * time.Second), FinishedAt: at.Add(4 * time.Second), Outcome: delivery.OutcomeFailed, RequestURL: "plugin://crm",
				ErrorCodes: []int{75000, 75500}},
			{StartedAt: at.Add(2 * time.Second), FinishedAt: at.Add(9 * time.Second), Outcome: delivery.OutcomeDone, RequestURL: "http://127.0.0.1:5000/",
				ErrorCodes: []int{75000}, ResponseStatus: 200, ResponseBody: []byte("\xff<&>")},
		},
	}
	// A missing time of an event is not an empty one; a failed job fails the whole; the
	// last to end need not be the last to begin; a timeout has no response;
	// lists are never null.
	const want = `{"id":"5f0e8f0e-0000-4000-8000-000000000001","user_id":"00000000-0000-0000-0000-000000000000",` +
		`"record_type":"webhook_delivery","status":"failed",` +
		`"webhook":{"record_type":"event","id":"","event_type":"","payload":{}},` +
		`"started_at":"2026-03-01T12:00:02.999Z","finished_at":"2026-03-01T12:00:09.999Z","attempts":[` +
		`{"status":"failed","started_at":"2026-03-01T12:00:03.999Z","finished_at":"2026-03-01T12:00:04.999Z",` +
		`"http":{"request":{"url":"plugin://crm","headers":[]}},"errors":[75000,75500]},` +
		`{"status":"delivered","started_at":"2026-03-01T12:00:02.999Z","finished_at":"2026-03-01T12:00:09.999Z",` +
		`"http":{"request":{"url":"http://127.0.0.1:5000/","headers":[]},"response":{"status":200,"headers":[],"body":"\ufffd<&>"}}}]}`
	w := get(t, newAPI(t, Config{Store: &records{deliveries: []store.Delivery{d}}}), "/v2/webhook_deliveries/"+d.Event.DeliveryID)
	if got := w.Body.String(); spelled(got) != spelled(`{"data":`+want+"}\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
