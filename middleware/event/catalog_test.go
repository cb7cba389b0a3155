package event_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// TestCatalogKnowsEveryName: no event type is without a row, and no row
// without an event type. That the envelopes are right is a test of package
// webhook.
func TestCatalogKnowsEveryName(t *testing.T) {
	rows := slices.DeleteFunc(event.Catalog(), func(i event.Info) bool { return strings.HasPrefix(i.Name, "test.") })
	if len(rows) != len(event.Samples()) {
		t.Errorf("%d rows, %d samples", len(rows), len(event.Samples()))
	}
	for _, row := range rows {
		if row.Product == "" || row.Envelope == "" || row.Signature == "" {
			t.Errorf("%s has no row: %+v", row.Name, row)
		}
		if row.Payload != reflect.TypeOf(event.NewPayload(row.Name)).Elem() {
			t.Errorf("%s has the payload %v", row.Name, row.Payload)
		}
		if row.Docs != "" && !strings.HasPrefix(row.Docs, "https://developers.telnyx.com/") {
			t.Errorf("%s is documented at %q", row.Name, row.Docs)
		}
	}
	if _, ok := event.Lookup("no.such"); ok {
		t.Error("Lookup knows an event type that nobody has defined")
	}
	for _, pattern := range event.CatalogPatterns() {
		if !slices.ContainsFunc(event.Names(), func(name string) bool { return event.Match(pattern, name) }) {
			t.Errorf("no event type fits the row %q", pattern)
		}
	}
	if info, _ := event.Lookup("siprec.failed"); !strings.HasSuffix(info.Docs, "failed") {
		t.Errorf("the longest pattern does not count: %+v", info)
	}
}

// TestFieldsAreThoseOfTheType: every field has a path that the type knows, and
// decodes each kind of JSON that it is said to.
func TestFieldsAreThoseOfTheType(t *testing.T) {
	examples := map[string]string{"string": `"1"`, "number": `1`, "boolean": `true`}
	inner := map[string]string{
		"event.Time": `"2026-01-02"`, "event.QualityStats": `"{\"inbound\":{\"mos\":\"4.5\"}}"`,
	}
	for _, name := range event.Names() {
		typ := reflect.TypeOf(event.NewPayload(name))
		fields := event.Fields(name)
		if len(fields) == 0 {
			t.Errorf("%s has no fields", name)
		}
		for _, f := range fields {
			if !hasField(typ, strings.Split(f.Path, ".")) {
				t.Errorf("%s: no field %s", name, f.Path)
			}
			if len(f.JSON) == 0 {
				t.Errorf("%s: %s decodes from nothing", name, f.Path)
			}
			for _, kind := range f.JSON {
				value := examples[kind]
				if kind == "string" && inner[f.Go.String()] != "" {
					value = inner[f.Go.String()]
				}
				if value == "" || f.Go.Kind() == reflect.Pointer {
					continue
				}
				v := reflect.New(f.Go)
				if err := json.Unmarshal([]byte(value), v.Interface()); err != nil || v.Elem().IsZero() {
					t.Errorf("%s: %s is a %v and does not take %s: %v", name, f.Path, f.Go, value, err)
				}
			}
		}
	}
	if event.Fields("no.such") != nil {
		t.Error("an event type that nobody has defined has fields")
	}
	var paths []string
	for _, f := range event.Fields("message.sent") {
		paths = append(paths, f.Path)
	}
	for _, want := range []string{"to[].phone_number", "cost.amount", "errors[].source.pointer", "sent_at"} {
		if !slices.Contains(paths, want) {
			t.Errorf("message.sent has no %s in %v", want, paths)
		}
	}
}

// TestFieldsOfOtherTypes: a payload that a program defines may be of any type.
func TestFieldsOfOtherTypes(t *testing.T) {
	type inner struct {
		Plain uint8
		Any   any `json:"any"`
	}
	type mine struct {
		*inner
		Next   *mine             `json:"next"`
		Rows   []inner           `json:"rows,omitempty"`
		Labels map[string]string `json:"labels"`
		Ratio  float32           `json:"ratio"`
		Hidden string            `json:"-"`
	}
	var got []string
	for _, f := range event.FieldsOf(reflect.TypeFor[mine]()) {
		got = append(got, f.Path+" "+strings.Join(f.JSON, ","))
	}
	want := []string{"Plain number", "any any", "next object", "rows array", "rows[].Plain number", "rows[].any any", "labels object", "ratio number"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[map[string]any](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[*mine](), reflect.TypeFor[event.Time](), reflect.TypeFor[string]()} {
		if fields := event.FieldsOf(typ); fields != nil {
			t.Errorf("%v has the fields %v", typ, fields)
		}
	}
}

func TestMisnomers(t *testing.T) {
	names := event.Misnomers()
	if len(names) == 0 || !slices.IsSorted(names) {
		t.Errorf("Misnomers = %q", names)
	}
	for _, name := range names {
		use, wrong := event.Misnomer(name)
		if !wrong || use != "" && !slices.Contains(event.Names(), use) {
			t.Errorf("Misnomer(%q) = %q, %v", name, use, wrong)
		}
		if slices.ContainsFunc(event.Names(), func(known string) bool { return event.Match(name, known) }) {
			t.Errorf("%q is never sent, and defined", name)
		}
	}
	for name, want := range map[string]string{"brand.approved": "10dlc.brand.update", "esim.profile.enabled": "", "brand": "-", "brands.x": "-"} {
		if use, wrong := event.Misnomer(name); wrong != (want != "-") || wrong && use != want {
			t.Errorf("Misnomer(%q) = %q, %v, want %q", name, use, wrong, want)
		}
	}
}
