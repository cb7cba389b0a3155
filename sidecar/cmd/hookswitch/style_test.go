package main

import (
	"bytes"
	"testing"
)

func TestFold(t *testing.T) {
	green := func(a ...any) string { return "<" + a[0].(string) + ">" }
	for _, tt := range []struct {
		name, want string
		pieces     []piece
	}{
		{"it fits", "one two", []piece{{text: "one "}, {text: "two"}}},
		{"spaces inside are kept", "a    b", []piece{{text: "a    b  "}}},
		{"it is broken between words", "one two\n  three", []piece{{text: "one two three"}}},
		{"a long word stays whole", "one\n  http://a-long-url/", []piece{{text: "one http://a-long-url/"}}},
		{"colours have no width", "<one> <two>\n  <three>", []piece{{text: "one two three", paint: green}}},
		{"characters count, not bytes", "→ ✓ … é\n  ü", []piece{{text: "→ ✓ … é ü"}}},
	} {
		if got := fold(8, "  ", tt.pieces...); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWantsColor(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false}, // no terminal
		{map[string]string{"FORCE_COLOR": "1"}, true},
		{map[string]string{"FORCE_COLOR": "0"}, false},
		{map[string]string{"FORCE_COLOR": "1", "NO_COLOR": "1"}, false},
	} {
		if got := wantsColor(new(bytes.Buffer), tt.env); got != tt.want {
			t.Errorf("%v: %v", tt.env, got)
		}
	}
}
