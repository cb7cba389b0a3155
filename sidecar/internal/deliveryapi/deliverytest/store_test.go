package deliverytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/deliveryapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// openStore returns a real store with the delivery that Telnyx documents and
// the events that makeHistory adds.
func openStore(t testing.TB) store.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	makeHistory(t, db)
	d := Documented()
	deliver(t, db, d.Event, d.Attempts)
	return db
}

// deliver takes an event through the store as the sidecar does: accepted,
// claimed, attempted. The attempts are most recent first.
func deliver(t testing.TB, s store.Store, e *delivery.Event, attempts []delivery.Attempt) {
	t.Helper()
	if _, err := s.Accept(t.Context(), e, []string{Target}); err != nil {
		t.Fatal(err)
	}
	schedule := make(delivery.Schedule, len(attempts))
	for i := len(attempts) - 1; i >= 0; i-- {
		tasks, err := s.Claim(t.Context(), Target, time.Now().AddDate(1, 0, 0), 1)
		if err != nil || len(tasks) != 1 {
			t.Fatalf("claimed %d tasks, %v", len(tasks), err)
		}
		a := attempts[i]
		a.JobID, a.DeliveryID = tasks[0].Job.ID, tasks[0].Event.DeliveryID
		state, next := delivery.Next(tasks[0].Job, a, delivery.Policy{Schedule: schedule}, 0)
		if err := s.Finish(t.Context(), a, state, next); err != nil {
			t.Fatal(err)
		}
	}
}

const otherEvents = 7

// makeHistory adds events "E0" to "E6", a minute apart, of which each second
// one failed; one that no target wanted, and one whose delivery goes on.
func makeHistory(t testing.TB, s store.Store) {
	t.Helper()
	for i := range otherEvents {
		at := time.Date(2024, 2, 29, 12, i, 0, 123_456_789, time.UTC)
		a := delivery.Attempt{
			Target: Target, N: 1, StartedAt: at, FinishedAt: at.Add(30 * time.Millisecond), Outcome: delivery.OutcomeDone,
			RequestURL: "http://127.0.0.1:5000/", ResponseStatus: 200,
		}
		if i%2 == 1 {
			a.Outcome, a.ResponseStatus, a.ErrorCodes = delivery.OutcomeFailed, 404, []int{75404}
		}
		deliver(t, s, newEvent(fmt.Sprintf("E%d", i), at), []delivery.Attempt{a})
	}
	at := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	if _, err := s.Accept(t.Context(), newEvent("UNWANTED", at), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(t.Context(), newEvent("WAITING", at), []string{"plugin:crm"}); err != nil {
		t.Fatal(err)
	}
}

func newEvent(id string, at time.Time) *delivery.Event {
	body := `{"data":{"id":"` + id + `","event_type":"message.sent","payload":{"text":"number ` + id + `"}}}`
	off := strings.Index(body, `{"text"`)
	return &delivery.Event{
		Key: "id:" + id, ID: id, Type: "message.sent", ReceivedAt: at, SignedAt: at,
		Method: "POST", Path: "/webhooks", Body: []byte(body), PayloadOff: off, PayloadLen: len(body) - off - 2,
	}
}

func newAPI(t testing.TB, c deliveryapi.Config) http.Handler {
	t.Helper()
	a, err := deliveryapi.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a.Handler()
}

func get(t testing.TB, h http.Handler, target string) (status int, body []byte) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
	r.Header.Set("Authorization", "Bearer KEY0123")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

func TestDocumentedRecord(t *testing.T) {
	const page = "../../../../../shared/seeds/retrieve_webhook_delivery.txt"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Skipf("Telnyx's page is not beside this tree, so our copy of its record is not compared with it: %v", err)
	}
	at := bytes.Index(text, []byte("{\n\"data\""))
	if at < 0 {
		t.Fatalf("there is no record in %s", page)
	}
	var onPage json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(text[at:])).Decode(&onPage); err != nil {
		t.Fatal(err)
	}
	if got, want := compact(t, record), compact(t, onPage); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRecordsFromTheStore(t *testing.T) {
	a := newAPI(t, deliveryapi.Config{Store: openStore(t), UserID: UserID})
	for _, id := range []string{EventID, strings.ToLower(EventID), DeliveryID, strings.ToUpper(DeliveryID)} {
		_, body := get(t, a, "/v2/webhook_deliveries/"+id)
		Compare(t, body)
	}
	for id, want := range map[string]string{
		"UNWANTED": "no target wanted it",
		"WAITING":  "plugin:crm has not been attempted yet",
		"NOWHERE":  `id "NOWHERE"`,
	} {
		status, body := get(t, a, "/v2/webhook_deliveries/"+id)
		var got struct{ Errors []struct{ Detail string } }
		if err := json.Unmarshal(body, &got); err != nil || status != 404 || len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Detail, want) {
			t.Errorf("%s: status %d, %s lacks %q", id, status, body, want)
		}
	}
}

// listCases are lists of what openStore holds. The official client is asked
// the same.
var listCases = []struct {
	name   string
	filter string // the client's filter object, as JSON
	query  string // the same as a query
	want   string // ids of the events, most recently received first
}{
	{"all that is final", `{}`, "", EventID + " E6 E5 E4 E3 E2 E1 E0"},
	{"status", `{"status":{"eq":"failed"}}`, "filter[status][eq]=failed", "E5 E3 E1"},
	{"one event type", `{"event_type":"call_initiated"}`, "filter[event_type]=call_initiated", EventID},
	{"event types", `{"event_type":"call_initiated,message.sent,x"}`, "filter[event_type]=call_initiated,message.sent,x", EventID + " E6 E5 E4 E3 E2 E1 E0"},
	{"text in the payload", `{"webhook":{"contains":"number E4"}}`, "filter[webhook][contains]=number%20E4", "E4"},
	{"an id in the webhook", `{"webhook":{"contains":"` + EventID + `"}}`, "filter[webhook][contains]=" + EventID, EventID},
	{"a URL in the attempts", `{"attempts":{"contains":"https://fallback.example.com/webhooks"}}`, "filter[attempts][contains]=https://fallback.example.com/webhooks", EventID},
	{"a code in the attempts", `{"attempts":{"contains":"75404"}}`, "filter[attempts][contains]=75404", "E5 E3 E1"},
	{"the code that Telnyx shows for a 404", `{"attempts":{"contains":"75499"}}`, "filter[attempts][contains]=75499", EventID},
	{"a day", `{"started_at":{"gte":"2024-02-29"},"finished_at":{"lte":"2024-02-29"}}`, "filter[started_at][gte]=2024-02-29&filter[finished_at][lte]=2024-02-29", "E6 E5 E4 E3 E2 E1 E0"},
	{"times as they are shown", `{"started_at":{"gte":"2024-02-29T12:02:00.123Z","lte":"2024-02-29T12:04:00.123Z"}}`,
		"filter[started_at][gte]=2024-02-29T12:02:00.123Z&filter[started_at][lte]=2024-02-29T12:04:00.123Z", "E4 E3 E2"},
	{"ends as they are shown", `{"finished_at":{"gte":"2024-02-29T12:05:00.153Z","lte":"2024-02-29T12:06:00.153Z"}}`,
		"filter[finished_at][gte]=2024-02-29T12:05:00.153Z&filter[finished_at][lte]=2024-02-29T12:06:00.153Z", "E6 E5"},
	{"a delivery starts with an attempt that found no host", `{"started_at":{"lte":"2020-08-10T14:00:00.000Z"}}`, "filter[started_at][lte]=2020-08-10T14:00:00.000Z", EventID},
	{"nothing", `{"status":{"eq":"failed"},"event_type":"call_initiated"}`, "filter[status][eq]=failed&filter[event_type]=call_initiated", ""},
}

// list is an answer, reduced to what identifies it.
type list struct {
	Data []struct {
		Webhook struct{ ID string }
	}
	Meta struct {
		TotalResults int `json:"total_results"`
	}
}

func (l list) ids() string {
	var ids []string
	for _, d := range l.Data {
		ids = append(ids, d.Webhook.ID)
	}
	return strings.Join(ids, " ")
}

func TestListsFromTheStore(t *testing.T) {
	a := newAPI(t, deliveryapi.Config{Store: openStore(t)})
	for _, tt := range listCases {
		t.Run(tt.name, func(t *testing.T) {
			status, body := get(t, a, "/v2/webhook_deliveries?"+tt.query)
			var got list
			if err := json.Unmarshal(body, &got); err != nil || status != 200 {
				t.Fatalf("status %d, %v: %s", status, err, body)
			}
			if got.ids() != tt.want || got.Meta.TotalResults != len(strings.Fields(tt.want)) {
				t.Errorf("got %s, %+v; want %s", got.ids(), got.Meta, tt.want)
			}
		})
	}
}

func TestStoreThatWasClosed(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, deliveryapi.Config{Store: db})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/v2/webhook_deliveries", "/v2/webhook_deliveries/x"} {
		if status, body := get(t, a, target); status != 503 {
			t.Errorf("%s: status %d, %s", target, status, body)
		}
	}
}
