package deliveryapi

import (
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// record is Telnyx's webhook_delivery, with fields in the order of its
// documentation.
type record struct {
	ID         string          `json:"id"`
	UserID     string          `json:"user_id"`
	RecordType string          `json:"record_type"`
	Status     string          `json:"status"`
	Webhook    webhookRecord   `json:"webhook"`
	StartedAt  string          `json:"started_at"`
	FinishedAt string          `json:"finished_at"`
	Attempts   []attemptRecord `json:"attempts"`
}

type webhookRecord struct {
	RecordType string          `json:"record_type"`
	ID         string          `json:"id"`
	EventType  string          `json:"event_type"`
	OccurredAt string          `json:"occurred_at,omitempty"` // left out when not sent: "" is not a time
	Payload    json.RawMessage `json:"payload"`
}

type attemptRecord struct {
	Status     string     `json:"status"`
	StartedAt  string     `json:"started_at"`
	FinishedAt string     `json:"finished_at"`
	HTTP       httpRecord `json:"http"`
	Errors     []int      `json:"errors,omitempty"`
}

type httpRecord struct {
	Request  requestRecord   `json:"request"`
	Response *responseRecord `json:"response,omitempty"`
}

type requestRecord struct {
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
}

type responseRecord struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
}

const (
	delivered = "delivered"
	failed    = "failed"
)

// newRecord shows a final delivery. It started with its first attempt and
// finished with its last, over all targets.
func newRecord(d *store.Delivery, userID string) record {
	r := record{
		ID:         d.Event.DeliveryID,
		UserID:     userID,
		RecordType: "webhook_delivery",
		Status:     failed,
		Webhook: webhookRecord{
			RecordType: "event",
			ID:         d.Event.ID,
			EventType:  d.Event.Type,
			OccurredAt: d.Event.OccurredAt,
			Payload:    payload(d.Event),
		},
		Attempts: make([]attemptRecord, 0, len(d.Attempts)),
	}
	if d.Delivered() {
		r.Status = delivered
	}
	started, finished := d.Event.ReceivedAt, d.Event.ReceivedAt
	for i, a := range d.Attempts {
		r.Attempts = append(r.Attempts, newAttempt(a))
		if i == 0 || a.StartedAt.Before(started) {
			started = a.StartedAt
		}
		if i == 0 || a.FinishedAt.After(finished) {
			finished = a.FinishedAt
		}
	}
	r.StartedAt, r.FinishedAt = timestamp(started), timestamp(finished)
	return r
}

// Record returns the record of a delivery as Handler shows it, even before it is
// final.
func (a *API) Record(ctx context.Context, id string) (json.RawMessage, error) {
	d, err := a.store.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	return mustMarshal(newRecord(d, a.userID)), nil
}

// Outline is Record without what the event and the answers contain: no payload, no
// headers, no bodies.
func (a *API) Outline(ctx context.Context, id string) (json.RawMessage, error) {
	d, err := a.store.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	r := newRecord(d, a.userID)
	r.Webhook.Payload = nil
	for i := range r.Attempts {
		http := &r.Attempts[i].HTTP
		http.Request.Headers = [][2]string{}
		if http.Response != nil {
			http.Response.Headers, http.Response.Body = [][2]string{}, ""
		}
	}
	return mustMarshal(r), nil
}

func newAttempt(a delivery.Attempt) attemptRecord {
	r := attemptRecord{
		Status:     failed,
		StartedAt:  timestamp(a.StartedAt),
		FinishedAt: timestamp(a.FinishedAt),
		HTTP:       httpRecord{Request: requestRecord{URL: a.RequestURL, Headers: headers(a.RequestHeader)}},
		Errors:     a.ErrorCodes,
	}
	if a.Outcome == delivery.OutcomeDone {
		r.Status, r.Errors = delivered, nil
	}
	if a.ResponseStatus != 0 {
		r.HTTP.Response = &responseRecord{
			Status:  a.ResponseStatus,
			Headers: headers(a.ResponseHeader),
			Body:    string(a.ResponseBody),
		}
	}
	return r
}

// headers is an empty list rather than null when there are none: clients
// iterate over it.
func headers(h [][2]string) [][2]string {
	if h == nil {
		return [][2]string{}
	}
	return h
}

// timestamp has milliseconds even when they are zero, as Telnyx writes them.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// payload returns the event's payload as it was sent, numbers and escapes
// included; only insignificant space is lost when it is encoded. The fields of a
// form become an object. An event without a payload shows an empty object, as
// clients expect.
//
// The result is always valid JSON. Bytes that are not UTF-8, which a verified
// body may contain, are replaced as every JSON reader would.
func payload(e *delivery.Event) json.RawMessage {
	off, n := e.PayloadOff, e.PayloadLen
	if n >= 0 && off >= 0 && off <= len(e.Body) && n <= len(e.Body)-off {
		if p := bytes.ToValidUTF8(e.Body[off:off+n], []byte("\uFFFD")); untrusted.Embeddable(p) {
			return p
		}
	}
	if isForm(e.Header) {
		return formPayload(string(e.Body))
	}
	return json.RawMessage("{}")
}

func isForm(header [][2]string) bool {
	for _, h := range header {
		if strings.EqualFold(h[0], "Content-Type") {
			mediaType, _, _ := mime.ParseMediaType(h[1])
			return mediaType == "application/x-www-form-urlencoded"
		}
	}
	return false
}

// formPayload turns a form into an object with its keys in the order sent. A
// field that is sent more than once becomes a list.
func formPayload(body string) json.RawMessage {
	var names []string
	values := make(map[string][]string)
	for pair := range strings.SplitSeq(body, "&") {
		// Pair by pair, because url.ParseQuery forgets the order. A pair that
		// cannot be unescaped is left out, as it would be by ParseQuery.
		one, err := url.ParseQuery(pair)
		if err != nil {
			continue
		}
		for name, v := range one {
			if _, found := values[name]; !found {
				names = append(names, name)
			}
			values[name] = append(values[name], v...)
		}
	}
	out := []byte("{")
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, mustMarshal(name)...)
		out = append(out, ':')
		if v := values[name]; len(v) == 1 {
			out = append(out, mustMarshal(v[0])...)
		} else {
			out = append(out, mustMarshal(v)...)
		}
	}
	return slices.Concat(out, []byte("}"))
}

// mustMarshal encodes a string or a list of strings, which cannot fail.
func mustMarshal(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
