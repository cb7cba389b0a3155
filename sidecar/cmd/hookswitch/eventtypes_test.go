package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// TestEventTypesAreThoseOfTheFile: the command and middleware/events.json say
// the same of every event type.
func TestEventTypesAreThoseOfTheFile(t *testing.T) {
	text, err := os.ReadFile("../../../middleware/events.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Events   []eventType
		Payloads []eventType // their names and fields
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	fields := make(map[string][]eventField)
	for _, p := range file.Payloads {
		fields[p.Name] = p.Fields
	}
	for i, e := range file.Events {
		file.Events[i].Fields = fields[e.Payload]
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"hookswitch", "events", "types", "-o", "json"}, event.Samples()...), &out, &errs); code != exitOK {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	var printed []eventType
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file.Events, printed); diff != "" {
		t.Errorf("-file +command:\n%s", diff)
	}

	// The table has every name, and is made of whole lines.
	out.Reset()
	if code := run(t.Context(), []string{"hookswitch", "events", "types"}, &out, &errs); code != exitOK {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	lines := strings.ReplaceAll(out.String(), "\n", " \n")
	for _, e := range file.Events {
		if !strings.Contains(lines, "\n  "+e.Name+" ") || e.Docs != "" && !strings.Contains(out.String(), e.Docs+"\n") {
			t.Errorf("the table lacks %s or its page", e.Name)
		}
	}
}
