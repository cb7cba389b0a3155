package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
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

// TestRowsOfStrangers: what an outlet makes of control characters is as wide as the
// columns were made for.
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

func TestProgress(t *testing.T) {
	p := newProgress(new(bytes.Buffer), "replayed", 5000)
	for want, got := range map[string]string{
		"replayed 0 of 5000 (0%)":                     p.text(0, 0),
		"replayed 120 of 5000 (2%)  40/s  2m02s left": p.text(120, 3*time.Second),
		"replayed 5000 of 5000 (100%)  50/s":          p.text(5000, 100*time.Second),
		"exported 70  7/s":                            (&progress{verb: "exported"}).text(70, 10*time.Second),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	p.at(1) // too early to say anything
	if out := p.w.(*bytes.Buffer); out.Len() > 0 {
		t.Errorf("it said %q at once", out)
	}
	p.shown = p.shown.Add(-time.Minute)
	if p.at(2); !strings.HasSuffix(p.w.(*bytes.Buffer).String(), "\n") {
		t.Errorf("it said %q later, no line", p.w)
	}
}

// TestStatusOfUnknown: what is not known is not shown as nothing.
func TestStatusOfUnknown(t *testing.T) {
	var out bytes.Buffer
	s := adminapi.Status{Unready: "store", Plugins: []adminapi.PluginStatus{{Name: "crm", State: "ready"}}}
	s.Store.Error = "does not answer: the log of the sidecar says why"
	printStatus(&out, newPalette(nil, &out), s)
	for _, want := range []string{"not ready: store", "store      does not answer: the log", "what waits and what is dead is not known", "crm"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	for _, not := range []string{"TARGET", "0 B", "nobody handles"} {
		if strings.Contains(out.String(), not) {
			t.Errorf("%q in:\n%s", not, &out)
		}
	}
}
