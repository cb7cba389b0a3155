// Package drift compares the catalogue of event types with the types of
// Telnyx's own client for Node, which are made from its API's description, so
// that a new event, a new field or another type of a field is noticed.
//
// types.mjs reads the declarations with TypeScript's compiler and prints what
// they say as JSON; [Compare] says what the catalogue lacks of that. What the
// catalogue has beside it is no difference: Telnyx sends, and documents
// elsewhere, more than its client knows. "make drift" runs it with the newest
// client, "make driftpinned" with the one in package.json.
package drift

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// Types are what types.mjs prints.
type Types struct {
	Version string  `json:"version"`
	Models  []Model `json:"models"`
}

// A Model is one type of the client: the body of some events.
type Model struct {
	Model      string   `json:"model"`
	EventTypes []string `json:"event_types"`
	Fields     []Field  `json:"fields"`
}

// A Field is one of a body.
type Field struct {
	Path  string   `json:"path"`
	Kinds []string `json:"kinds"` // types of JSON, or "any"
}

// A Difference is something of the client that the catalogue does not have.
type Difference struct {
	Name   string // of the event, or of the model if that names no event
	Path   string // of the field in the body; "" if the event itself is missing
	Ours   string
	Theirs string
}

// unnamed are the events of models that do not say which they are.
var unnamed = map[string]string{
	"CampaignStatusUpdate":          "10dlc.campaign.update",
	"ReplacedLinkClickWebhookEvent": "link_clicked",
}

// payloads are where the payload is in the body, by envelope, where it is not in
// "data.payload.".
var payloads = map[string]string{"meeting": "data.", "resource": "data."}

// payloadsOf are the same for single events, whose models have another form
// than what is usually sent.
var payloadsOf = map[string]string{"10dlc.campaign.update": "", "conference.floor.changed": "payload."}

// envelope are the fields around payloads, all of which package webhook reads
// or has no use for.
var envelope = []string{
	"data", "data.id", "data.event_type", "data.occurred_at", "data.created_at", "data.payload", "data.record_type",
	"meta", "meta.attempt", "meta.delivered_to",
	"id", "event", "event_type", "occurred_at", "payload", "record_type", "version",
}

// accepted are differences that are meant, by event and field, and why.
var accepted = map[string]string{
	"message.received data.payload.body.text":      "the client has one type for two forms: MessageBody reads the object as the text that is in it",
	"message.received data.payload.body.text.body": "the same",
}

// Compare returns what the catalogue lacks of a client's types, in the order of
// the types.
func Compare(types Types) (list []Difference) {
	for _, m := range types.Models {
		names := m.EventTypes
		if name := unnamed[m.Model]; name != "" && len(names) == 0 {
			names = []string{name}
		}
		if len(names) == 0 {
			list = append(list, Difference{m.Model, "", "no event type", "a model without an event type"})
		}
		for _, name := range names {
			info, known := event.Lookup(name)
			if !known {
				list = append(list, Difference{name, "", "not known", "an event type of " + m.Model})
				continue
			}
			list = append(list, compareFields(info, m.Fields)...)
		}
	}
	return list
}

func compareFields(info event.Info, fields []Field) (list []Difference) {
	prefix, ok := payloadsOf[info.Name]
	if !ok {
		if prefix, ok = payloads[info.Envelope]; !ok {
			prefix = "data.payload."
		}
	}
	ours := make(map[string][]string)
	for _, f := range event.Fields(info.Name) {
		ours[f.Path] = f.JSON
	}
	for _, f := range fields {
		path, inside := strings.CutPrefix(f.Path, prefix)
		kinds, known := kindsAt(ours, path)
		theirs := strings.Join(f.Kinds, ", ")
		other := func(kind string) bool { return kind != "any" && !slices.Contains(kinds, kind) }
		switch {
		case accepted[info.Name+" "+f.Path] != "":
		case inside && known:
			if slices.ContainsFunc(f.Kinds, other) && !slices.Contains(kinds, "any") {
				list = append(list, Difference{info.Name, f.Path, strings.Join(kinds, ", "), theirs})
			}
		case !slices.Contains(envelope, f.Path):
			list = append(list, Difference{info.Name, f.Path, "no field", theirs})
		}
	}
	return list
}

// kindsAt returns the kinds that a path is read from: "any" below a field that
// keeps what is sent.
func kindsAt(ours map[string][]string, path string) ([]string, bool) {
	if kinds, ok := ours[path]; ok {
		return kinds, true
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '.' && slices.Contains(ours[strings.TrimSuffix(path[:i], "[]")], "any") {
			return []string{"any"}, true
		}
	}
	return nil, false
}

// Table lays differences out in columns.
func Table(list []Difference) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EVENT\tFIELD\tCATALOGUE\tCLIENT")
	for _, d := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.Name, d.Path, d.Ours, d.Theirs)
	}
	_ = w.Flush() // to memory
	return b.String()
}
