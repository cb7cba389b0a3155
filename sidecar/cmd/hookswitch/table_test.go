package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRowsFit(t *testing.T) {
	long := strings.Repeat("a long reason ", 12)
	for _, tt := range []struct {
		name  string
		table rows
		lines int
	}{
		{"short rows", rows{{"A", "B", "TEXT"}, {"1", "2", "well"}}, 2},
		{"a long text", rows{{"A", "B", "TEXT"}, {"1", "2", long}}, 5},
		{"wide columns", rows{{"A", "B", "C", "TEXT"}, {strings.Repeat("x", 50), strings.Repeat("ü", 70), "z", "well"}}, 4},
	} {
		var out bytes.Buffer
		tt.table.print(&out)
		if n := strings.Count(out.String(), "\n"); n != tt.lines {
			t.Errorf("%s: %d lines, want %d:\n%s", tt.name, n, tt.lines, &out)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > screenWidth {
				t.Errorf("%s: %d columns: %s", tt.name, n, line)
			}
		}
	}
}

// TestRowsInPipes: a program that reads a table gets all of it.
func TestRowsInPipes(t *testing.T) {
	wide := strings.Repeat("x", 90)
	var out bytes.Buffer
	o := newOutlet(&out)
	rows{{"A", "B", "TEXT"}, {wide, "z", "well"}}.print(o)
	if err := o.end(); err != nil || !strings.Contains(out.String(), wide+"  z") {
		t.Errorf("%v:\n%s", err, &out)
	}
	out.Reset()
	rows{{"A", "B", "TEXT"}, {wide, "z", "well"}}.print(&sheet{&out, 60})
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 60 {
			t.Errorf("%d columns of 60: %s", n, line)
		}
	}
}

// TestRowsOfStrangers: control characters, as an outlet shows them, fit the columns.
func TestRowsOfStrangers(t *testing.T) {
	var out bytes.Buffer
	o := newOutlet(&out)
	rows{{"A", "B", "TEXT"}, {"\x1b[2J", "z", "well"}, {"\u202eab", "z", "well"}, {"x\ny", "z", "well"}}.print(o)
	if err := o.end(); err != nil {
		t.Fatal(err)
	}
	at := -1
	for line := range strings.Lines(out.String()) {
		if n := strings.LastIndexAny(line, "Bz"); at >= 0 && n != at {
			t.Errorf("the second column is at %d and at %d:\n%s", at, n, &out)
		} else {
			at = n
		}
	}
}

func TestShortIDs(t *testing.T) {
	for _, tt := range []struct {
		ids  []string
		want int
	}{
		{nil, 8},
		{[]string{"a", "b"}, 8},
		{[]string{"12345678-1", "12345678-2"}, 10},
		{[]string{"12345678-1", "12345678-1"}, 8}, // the same twice
	} {
		if got := shortIDs(tt.ids); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.ids, got, tt.want)
		}
	}
}
