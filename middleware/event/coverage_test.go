package event_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// The reference material is not part of the repository: tables of Telnyx's own
// models, and bodies that were published.
const reference = "../../../shared"

func readReference(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(reference, name))
	if os.IsNotExist(err) {
		t.Skipf("no reference material beside the repository: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

type model struct {
	Model      string
	EventTypes []string `json:"event_types"`
	Fields     []struct{ Path, Type string }
}

// nameOf is the name that we derive for what has no event type on the wire.
func nameOf(eventType string) string {
	switch {
	case strings.HasPrefix(eventType, "campaign"):
		return "10dlc.campaign.update"
	case strings.HasPrefix(eventType, "link_clicked"):
		return "link_clicked"
	case eventType == "number_order.v2_legacy_resource":
		return "number_order.complete"
	}
	return event.Canonical(strings.TrimPrefix(eventType, "v1."))
}

// inPayload returns the path of a field within the payload, or false for a
// field of the envelope.
func inPayload(m model, path string) (string, bool) {
	switch m.EventTypes[0] {
	case "conference.floor.changed":
		return strings.CutPrefix(path, "payload.")
	case "campaign (flat)":
		return path, true
	case "link_clicked (replacedLinkClick)", "artifact.completed", "artifact.failed",
		"session.status_changed", "recording.available", "transcript.completed":
		return strings.CutPrefix(path, "data.")
	}
	return strings.CutPrefix(path, "data.payload.")
}

// TestEveryModelIsCovered: each field of each of Telnyx's models has a field
// here, and a value in our sample.
func TestEveryModelIsCovered(t *testing.T) {
	// Fields that do not go together with the others of the sample.
	otherKind := []string{"body", "from.agent_", "to[].agent_", "cc[].", "errors[].", "media[].", "from.carrier", "from.line_type", "to[].carrier", "to[].line_type"}
	var models []model
	readReference(t, "telnyx_events.json", &models)
	if len(models) < 75 {
		t.Fatalf("only %d models", len(models))
	}
	for _, m := range models {
		for _, eventType := range m.EventTypes {
			name := nameOf(eventType)
			payload := event.NewPayload(name)
			if payload == nil {
				t.Errorf("%s is not defined", name)
				continue
			}
			body, _ := event.Sample(name)
			sample := anyOf(t, payloadIn(t, event.SampleContentType(name), body))
			for _, f := range m.Fields {
				path, ok := inPayload(m, f.Path)
				if !ok {
					continue
				}
				if !hasField(reflect.TypeOf(payload), strings.Split(path, ".")) {
					t.Errorf("%s: no field for %s (%s)", name, path, f.Type)
				}
				if name == "message.sent" || name == "message.read" || m.Model == "CampaignStatusUpdate" {
					continue // the documented example; much less than its model; two forms, one sample
				}
				if strings.HasPrefix(name, "message.") && slices.ContainsFunc(otherKind, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
					continue
				}
				if !hasPath(sample, strings.Split(path, ".")) {
					t.Errorf("%s: the sample lacks %s", name, path)
				}
			}
		}
	}
}

// hasField follows JSON names through a type. What keeps JSON as it is has
// every field.
func hasField(typ reflect.Type, path []string) bool {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ {
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[event.Value]():
		return true
	}
	if len(path) == 0 {
		return true
	}
	name, list := strings.CutSuffix(path[0], "[]")
	if list {
		if len(path) == 1 && name == "" {
			return true
		}
	}
	if typ.Kind() == reflect.String && name == "body" {
		return true // text.body of WhatsApp, which becomes the text
	}
	if typ.Kind() != reflect.Struct {
		return false
	}
	for _, field := range reflect.VisibleFields(typ) {
		if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); field.Anonymous || tag != name {
			continue
		}
		inner := field.Type
		if list {
			if inner.Kind() != reflect.Slice {
				return false
			}
			inner = inner.Elem()
		}
		return hasField(inner, path[1:])
	}
	return false
}

func hasPath(v any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	name, list := strings.CutSuffix(path[0], "[]")
	object, ok := v.(map[string]any)
	if !ok {
		return false
	}
	inner, ok := object[name]
	if ok && list {
		items, _ := inner.([]any)
		return slices.ContainsFunc(items, func(item any) bool { return hasPath(item, path[1:]) })
	}
	return ok && (inner == nil || hasPath(inner, path[1:]))
}

// TestEveryPublishedBodyDecodes: what Telnyx and its users have published
// decodes without a warning, and nothing in it is lost but what is listed.
func TestEveryPublishedBodyDecodes(t *testing.T) {
	otherProduct := []string{
		"message.delivered",       // an invention: see Misnomer
		"v1.sms.outbound",         // messaging v1, which names no event
		"webhook_delivery.record", // an answer of the API
	}
	unmodelled := map[string][]string{
		"call.dtmf.received":              {"dtmf"},                                                          // AI-written example
		"call.answered":                   {"custom_headers[].header_name", "custom_headers[].header_value"}, // they are in name and value
		"call.initiated":                  {"custom_headers[].header_name", "custom_headers[].header_value"}, // the same
		"call.gather.ended":               {"speech"},                                                        // AI-written example
		"call.recording.saved":            {"event_type", "recording_urls.wav_url"},                          // AI-written example without a payload
		"call.transcription":              {"transcript"},                                                    // AI-written example
		"conversation_insight_result":     {"assistant_id", "from", "intent", "summary"},                     // somebody's test
		"conversation.insights.completed": {"event_type"},                                                    // of the envelope
		"dynamic_variables":               {"telnx_end_user_target"},                                         // misspelt
		"sim_card.status.changed":         {"event_type", "received"},                                        // an answer to an example
	}
	var index []struct {
		File        string
		EventType   string `json:"event_type"`
		ContentType string `json:"content_type"`
	}
	readReference(t, "samples/INDEX.json", &index)
	decoded := 0
	for _, sample := range index {
		body, err := os.ReadFile(filepath.Join(reference, "samples", sample.File))
		if os.IsNotExist(err) || slices.Contains(otherProduct, sample.EventType) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		name := nameOf(sample.EventType)
		typed := event.NewPayload(name)
		if typed == nil {
			t.Errorf("%s: %s is not defined", sample.File, name)
			continue
		}
		payload := payloadIn(t, sample.ContentType, body)
		if err := json.Unmarshal(payload, typed); err != nil {
			t.Errorf("%s: %v", sample.File, err)
		}
		for _, path := range lost(t, payload, typed) {
			if !slices.Contains(unmodelled[name], path) {
				t.Errorf("%s: %s is lost", sample.File, path)
			}
		}
		decoded++
	}
	if decoded < 200 {
		t.Errorf("only %d bodies were found", decoded)
	}
}
