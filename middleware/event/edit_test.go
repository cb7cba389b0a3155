package event_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/event"
)

func TestEdit(t *testing.T) {
	const body = `{"data":{"event_type":"x","payload":{"text":"a","parts":1,"to":[{"status":"s"}],"none":null}},"meta":{"attempt":1}}`
	for _, tt := range []struct {
		path  string
		value any
		want  string // of the result
		err   string
	}{
		{"payload.text", "b", `"text": "b"`, ""},
		{"data.payload.text", event.Literal("5"), `"text": "5"`, ""},
		{"payload.parts", event.Literal("12345678901234567890"), `"parts": 12345678901234567890`, ""},
		{"payload.parts", event.Literal("many"), `"parts": "many"`, ""},
		{"payload.none", event.Literal(`{"a":[1]}`), `"none": {`, ""},
		{"payload.to.0.status", "<&>", `"status": "<&>"`, ""},
		{"payload.new.deep", true, `"deep": true`, ""},
		{"meta.attempt", 2, `"attempt": 2`, ""},
		{"payload.to.1.status", "x", "", "not an index of an array of 1"},
		{"payload.text.x", "x", "", "inside a plain value"},
		{"payload..x", "x", "", "empty"},
		{"payload.text", make(chan int), "", "unsupported"},
	} {
		got, err := event.Edit([]byte(body), "application/json", event.Change{Path: tt.path, Value: tt.value})
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want an error that says %q", tt.path, err, tt.err)
			}
			continue
		}
		if err != nil || !strings.Contains(string(got), tt.want) || !json.Valid(got) {
			t.Errorf("%s = %v: %s, %v", tt.path, tt.value, got, err)
		}
	}
	if _, err := event.Edit([]byte("[1]"), "application/json"); err == nil {
		t.Error("an array was edited")
	}
	form, err := event.Edit([]byte("A=1&B=2"), "application/x-www-form-urlencoded", event.Change{Path: "B", Value: "x y"})
	if err != nil || string(form) != "A=1&B=x+y" {
		t.Errorf("form: %s, %v", form, err)
	}
	if _, err := event.Edit([]byte("%zz"), "application/x-www-form-urlencoded"); err == nil {
		t.Error("a broken form was edited")
	}
}
