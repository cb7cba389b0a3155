package sidecar

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// TestSilence: an event whose sender wants an answer and gets none is a line, once for
// each event type, and of a sync route once for each app.
func TestSilence(t *testing.T) {
	var out bytes.Buffer
	s := newSilence(slog.New(slog.NewTextHandler(&out, nil)))
	lines := func() (n int) {
		n = strings.Count(out.String(), "code=answer-missing")
		out.Reset()
		return n
	}
	empty := delivery.Attempt{Target: "forward:texml", ResponseStatus: 200}
	for _, tt := range []struct {
		name string
		do   func()
		want int
	}{
		{"an event of a route that is not sync", func() { s.note("texml.gather"); s.note("texml.gather") }, 1},
		{"an app that says nothing", func() { s.passed("texml.gather", empty); s.passed("texml.gather", empty) }, 1},
		{"another app", func() { s.passed("texml.gather", delivery.Attempt{Target: "forward:other", ResponseStatus: 204}) }, 1},
		{"an app that answers", func() {
			s.passed("texml.queue", delivery.Attempt{ResponseStatus: 200, ResponseBody: []byte("<Response/>")})
		}, 0},
		{"an app that fails, which is said elsewhere", func() { s.passed("texml.queue", delivery.Attempt{ResponseStatus: 500}) }, 0},
		{"an event that wants no answer", func() { s.note("call.hangup"); s.passed("call.hangup", empty) }, 0},
	} {
		tt.do()
		text := out.String()
		if n := lines(); n != tt.want {
			t.Errorf("%s: %d lines, want %d:\n%s", tt.name, n, tt.want, text)
		}
	}
}
