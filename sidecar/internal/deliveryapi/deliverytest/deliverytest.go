// Package deliverytest has the one delivery whose record Telnyx documents, as
// a store holds it and as the API must show it.
//
// The tests of the API that need a real store, or Telnyx's own client, are
// here rather than beside the API: with a database linked in, the fuzz target
// there runs a hundred times slower.
package deliverytest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Ids of the documented delivery, as they are documented.
const (
	DeliveryID = "f5586561-8ff0-4291-a0ac-84fe544797bd"
	UserID     = "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0"
	EventID    = "C9C0797E-901D-4349-A33C-C2C8F31A92C2"
)

// Target is the name of the target that all its attempts were made at.
const Target = "forward:default"

// record is the answer to GET /v2/webhook_deliveries/{id} that the API
// reference shows.
//
//go:embed webhook_delivery.json
var record []byte

// firstAttempt is what that answer leaves out, though its started_at tells of
// it: a first attempt that found no host. Telnyx's OpenAPI description has it.
const firstAttempt = `{"status":"failed","started_at":"2020-08-10T14:00:00.000Z","finished_at":"2020-08-10T14:00:05.000Z",` +
	`"http":{"request":{"url":"https://slow.example.com/webhooks","headers":[["Accept","*/*"]]}},"errors":[75001]}`

// Documented returns the documented delivery as a store returns it, anew with
// every call: an event, a job that is done, and three attempts at it.
func Documented() *store.Delivery {
	at := func(s string) time.Time {
		t, err := time.Parse(time.RFC3339, "2020-08-10T14:00:"+s+"Z")
		if err != nil {
			panic(err)
		}
		return t.In(time.FixedZone("somewhere", 3600)) // records are in UTC wherever the store reads its times
	}
	const payload = `{ "useful": "information" }`
	body := []byte(`{"data":{"event_type":"call_initiated","id":"` + EventID + `","occurred_at":"2020-08-10T13:02:01.000Z",` +
		`"payload":` + payload + `,"record_type":"event"}}`)
	accept := [][2]string{{"Accept", "*/*"}}
	html := [2]string{"Content-Type", "text/html"}
	return &store.Delivery{
		Event: &delivery.Event{
			DeliveryID: DeliveryID,
			Key:        "id:" + strings.ToLower(EventID),
			ID:         EventID,
			Type:       "call_initiated",
			OccurredAt: "2020-08-10T13:02:01.000Z",
			ReceivedAt: at("00.000"),
			SignedAt:   at("00.000"),
			Method:     "POST",
			Path:       "/webhooks",
			Header:     [][2]string{{"Content-Type", "application/json"}},
			Body:       body,
			PayloadOff: bytes.Index(body, []byte(payload)),
			PayloadLen: len(payload),
		},
		Jobs: []delivery.Job{{Target: Target, State: delivery.Done, Attempts: 3}},
		Attempts: []delivery.Attempt{
			{
				Target: Target, N: 3, StartedAt: at("05.364"), FinishedAt: at("05.595"), Outcome: delivery.OutcomeDone,
				RequestURL: "https://fallback.example.com/webhooks", RequestHeader: accept,
				ResponseStatus: 200, ResponseHeader: [][2]string{html}, ResponseBody: []byte("All good."),
			},
			{
				Target: Target, N: 2, StartedAt: at("05.004"), FinishedAt: at("05.360"), Outcome: delivery.OutcomeRetry,
				RequestURL: "https://typo.example.com/webhooks", RequestHeader: accept,
				ResponseStatus: 404, ResponseHeader: [][2]string{html, {"Pragma", "no-cache"}}, ResponseBody: []byte("Oops. Not found."),
				ErrorCodes: []int{75499}, Error: "the app answered 404",
			},
			{
				Target: Target, N: 1, StartedAt: at("00.000"), FinishedAt: at("05.000"), Outcome: delivery.OutcomeRetry,
				RequestURL: "https://slow.example.com/webhooks", RequestHeader: accept,
				ErrorCodes: []int{75001}, Error: "no such host",
			},
		},
	}
}

// Compare compares an answer to GET /v2/webhook_deliveries/{id} with the
// documented one, byte for byte after two steps: space that means nothing is
// removed, and so is the first attempt, which the documented answer does not
// list. That one is compared on its own.
func Compare(t testing.TB, got []byte) {
	t.Helper()
	compare(t, got, record)
}

func compare(t testing.TB, got, want []byte) {
	t.Helper()
	all := compact(t, got)
	listed := strings.Replace(all, ","+firstAttempt, "", 1)
	if listed == all {
		t.Errorf("the first attempt is not\n%s\nin\n%s", firstAttempt, got)
	}
	if want := compact(t, want); listed != want {
		t.Errorf("got\n%s\nwant\n%s", listed, want)
	}
}

func compact(t testing.TB, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return b.String()
}
