package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

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
