package appcheck

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// probe is one request.
type probe struct {
	name, sent  string
	want        string
	body        []byte
	contentType string
	sign        func(ed25519.PrivateKey, time.Time) (timestamp, signature string)
}

// right reports whether an answer is the one that is wanted.
func (p *probe) right(a *answer) bool {
	switch {
	case a.err != nil:
		return false
	case p.want == "2xx":
		return a.accepted()
	case p.want == "5xx": // whether it was worth an error is the app's to say, unless it shows one
		return !a.accepted() || !showsException(a)
	}
	return a.status >= 400 && a.status <= 599
}

// probes are all requests, in the order in which they are sent.
type probes struct {
	small     *probe
	rewritten []*probe // the small one in other forms, if that is refused
	genuine   []*probe
	forged    []*probe
	last      []*probe // what may end the app
}

// newProbes makes the requests, each of a new event of a type.
func newProbes(eventType string) (probes, error) {
	e := sample{eventType: eventType}
	if err := e.check(); err != nil {
		return probes{}, err
	}
	small := e.text("", "an event as Telnyx prints it")
	genuine := func(name, sent string, body []byte) *probe { return newProbe(name, sent, "2xx", typeJSON, body) }
	all := probes{
		small: genuine("small", "an event, indented as by Telnyx", small),
		rewritten: []*probe{
			genuine(asCompact, "an event without white space", compact(e.text("", "again"))),
			genuine(asPHP, "an event without white space, slashes escaped", bytes.ReplaceAll(compact(e.text("", "again")), []byte("/"), []byte(`\/`))),
			genuine(asPython, "an event on one line, with spaces", spaced(e.text("", "again"), ", ", ": ")),
		},
		genuine: []*probe{
			genuine("20 kB", "an event of 20 kB", e.text("", strings.Repeat("x", 20_000))),
			genuine("150 kB", "an event of 150 kB", e.text("", strings.Repeat("x", 150_000))),
			genuine("white space", "an event with odd white space", spaced(e.text("", "odd"), " ,\r\n\t", " :  ")),
			genuine("not ASCII", "an event with text in UTF-8", e.text("", "Grüße, 東京 🚀 \u2028")),
			genuine("keys twice", "an event with a key that comes twice", bytes.Replace(e.text("", "twice"), []byte(`"attempt"`), []byte(`"attempt": 0,`+"\n    "+`"attempt"`), 1)),
			genuine("unknown type", "an event of a type that does not exist yet", e.text("hookswitch.unknown", "new")),
			newProbe("form", "a form of TeXML", "2xx", typeForm, form()),
			genuine("again", "the first event once more", small),
		},
		last: []*probe{
			newProbe("broken", "half an event, signed", "5xx", typeJSON, small[:len(small)/2]),
			genuine("after that", "an event after what could not be read", e.text("", "after")),
		},
	}
	all.forged = forged(e)
	return all, nil
}

// The small event in the forms in which languages write JSON.
const (
	asCompact = "compact"
	asPHP     = "escaped slashes"
	asPython  = "spaces"
)

// newProbe returns a request that is signed as it should be.
func newProbe(name, sent, want, contentType string, body []byte) *probe {
	return &probe{name, sent, want, body, contentType, func(key ed25519.PrivateKey, now time.Time) (string, string) {
		return webhook.Sign(key, now, body)
	}}
}

// forged returns what has to be refused, each for one reason only.
func forged(e sample) (list []*probe) {
	add := func(name, sent string, sign func(key ed25519.PrivateKey, now time.Time, body []byte) (string, string)) {
		body := e.text("", "forged")
		p := newProbe(name, sent, "4xx", typeJSON, body)
		p.sign = func(key ed25519.PrivateKey, now time.Time) (string, string) { return sign(key, now, body) }
		list = append(list, p)
	}
	add("changed", "an event that was changed after it was signed", func(key ed25519.PrivateKey, now time.Time, body []byte) (string, string) {
		return webhook.Sign(key, now, bytes.Replace(body, []byte("forged"), []byte("signed"), 1))
	})
	add("another key", "an event signed with another key", func(_ ed25519.PrivateKey, now time.Time, body []byte) (string, string) {
		_, other, _ := ed25519.GenerateKey(nil) // which returns no error
		return webhook.Sign(other, now, body)
	})
	add("no signature", "an event without a signature", func(ed25519.PrivateKey, time.Time, []byte) (string, string) { return "", "" })
	add("no timestamp", "an event without its timestamp", func(key ed25519.PrivateKey, now time.Time, body []byte) (string, string) {
		_, signature := webhook.Sign(key, now, body)
		return "", signature
	})
	add("nonsense", "an event whose signature is not base64", func(_ ed25519.PrivateKey, now time.Time, _ []byte) (string, string) {
		return strconv.FormatInt(now.Unix(), 10), "nonsense!"
	})
	add("old", "an event signed an hour ago", func(key ed25519.PrivateKey, now time.Time, body []byte) (string, string) {
		return webhook.Sign(key, now.Add(-time.Hour), body)
	})
	add("future", "an event signed an hour ahead", func(key ed25519.PrivateKey, now time.Time, body []byte) (string, string) {
		return webhook.Sign(key, now.Add(time.Hour), body)
	})
	return list
}

// sample makes events of a type.
type sample struct{ eventType string }

// check returns an error for a type whose sample is not of the common form.
func (e sample) check() error {
	body, ok := event.Sample(e.eventType)
	var parts struct {
		Data struct {
			Type    string         `json:"event_type"`
			Payload map[string]any `json:"payload"`
		} `json:"data"`
	}
	if !ok || json.Unmarshal(body, &parts) != nil || parts.Data.Payload == nil || parts.Data.Type != e.eventType {
		return fmt.Errorf("there is no sample of %q in the common form, JSON with data and a payload", e.eventType)
	}
	return nil
}

// text returns an event with a text in it and an id of its own. The type is another
// one if it is given.
func (e sample) text(eventType, text string) []byte {
	body, _ := event.Sample(e.eventType) // check has looked
	id, now := uuid.NewString(), time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	changes := []event.Change{
		{Path: "data.id", Value: id}, {Path: "data.occurred_at", Value: now}, {Path: "data.payload.text", Value: text},
		{Path: "meta.attempt", Value: 1}, {Path: "meta.delivered_to", Value: "https://example.com/webhooks"},
	}
	if eventType != "" {
		changes = append(changes, event.Change{Path: "data.event_type", Value: eventType})
	}
	edited, err := event.Edit(body, typeJSON, changes...)
	if err != nil {
		panic(fmt.Sprintf("appcheck: the sample of %s: %v", e.eventType, err))
	}
	return edited
}

// form returns a form of TeXML, of a new call.
func form() []byte {
	body, _ := event.Sample(formType)
	edited, err := event.Edit(body, typeForm, event.Change{Path: "CallSid", Value: "v3:" + uuid.NewString()})
	if err != nil {
		panic(fmt.Sprintf("appcheck: the sample of %s: %v", formType, err))
	}
	return edited
}

const formType = "texml.call.completed"

func compact(body []byte) []byte {
	var out bytes.Buffer
	_ = json.Compact(&out, body) // it is JSON
	return out.Bytes()
}

// spaced writes a body on one line with other commas and colons.
func spaced(body []byte, comma, colon string) []byte {
	var out bytes.Buffer
	quoted, escaped := false, false
	for _, b := range compact(body) {
		switch {
		case !quoted && b == ',':
			out.WriteString(comma)
			continue
		case !quoted && b == ':':
			out.WriteString(colon)
			continue
		case b == '"' && !escaped:
			quoted = !quoted
		}
		escaped = b == '\\' && !escaped
		out.WriteByte(b)
	}
	return out.Bytes()
}

// exceptions are what languages print of an uncaught exception.
var exceptions = []string{"fatal error", "uncaught ", "traceback (most recent call last)", "unhandled exception", "stack trace:", "    at "}

func showsException(a *answer) bool {
	return slices.ContainsFunc(exceptions, func(text string) bool { return a.says(text) })
}

// traceConnection returns a context for a request, and whether it got a connection.
func traceConnection(ctx context.Context) (context.Context, func() bool) {
	got := new(atomic.Bool)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { got.Store(true) },
	}), got.Load
}
