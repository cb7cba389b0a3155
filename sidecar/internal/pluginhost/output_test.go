package pluginhost

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestReadLines(t *testing.T) {
	long := strings.Repeat("x", 3*lineMax)
	tests := []struct {
		name, input string
		want        []string
	}{
		{"lines", "a\nb\r\n\nc\n", []string{"a", "b", "", "c"}},
		{"a last line without newline", "a\nb", []string{"a", "b"}},
		{"nothing", "", nil},
		{"a long line is cut", "a\n" + long + "\nb\n", []string{"a", "cut " + long[:lineMax], "b"}},
		{"a long line without end is cut", long, []string{"cut " + long[:lineMax]}},
		{"a line that just fits", long[:lineMax-1] + "\nb\n", []string{long[:lineMax-1], "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.input), iotest.HalfReader(strings.NewReader(tt.input))} {
				var got []string
				readLines(r, func(line []byte, truncated bool) {
					text := string(line)
					if truncated {
						text = "cut " + text
					}
					got = append(got, text)
				})
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %.100q, want %.100q", got, tt.want)
				}
			}
		})
	}
}

func TestParseLine(t *testing.T) {
	tests := []struct {
		name, line, want string
	}{
		{"text is info", "plain", "INFO plain"},
		{"text with a level", "[WARN] careful", "WARN [WARN] careful"},
		{"hclog", `{"@level":"warn","@message":"m","@timestamp":"t","@module":"x","b":2,"a":"1"}`, "WARN m a=1 b=2"},
		{"slog", `{"time":"t","level":"ERROR","msg":"m","n":null}`, "ERROR m n=<nil>"},
		{"zap", `{"level":"dpanic","ts":1.5,"msg":"m"}`, "ERROR m"},
		{"pino", `{"level":20,"time":1,"msg":"m"}`, "DEBUG m"},
		{"JSON without a message stays whole", `{"level":"error","a":1}`, `ERROR {"level":"error","a":1}`},
		{"wrong types stay whole", `{"@message":1,"@level":[],"@timestamp":{}}`, `INFO {"@message":1,"@level":[],"@timestamp":{}}`},
		{"a level that is none stays a field", `{"@level":{"a":1},"msg":"m"}`, "INFO m @level=map[a:1]"},
		{"a plugin does not speak for another", `{"msg":"m","plugin":"other","pid":1,"stream":"x","truncated":false}`, "INFO m"},
		{"broken JSON is text", `{"msg":"m`, `INFO {"msg":"m`},
		{"JSON that is no object is text", `[1]`, `INFO [1]`},
		{"invalid UTF-8 is replaced", "a\xffb", "INFO a\uFFFDb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := parseLine([]byte(tt.line))
			got := rec.level.String() + " " + rec.message
			for _, a := range rec.attrs {
				got += " " + a.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("attributes have a limit", func(t *testing.T) {
		var b strings.Builder
		b.WriteString(`{"msg":"m"`)
		for i := range 100 {
			fmt.Fprintf(&b, `,"k%d":1`, i)
		}
		if rec := parseLine([]byte(b.String() + "}")); len(rec.attrs) != attrsMax {
			t.Errorf("%d attributes, want %d", len(rec.attrs), attrsMax)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"@message":1}`))
	f.Add([]byte(`{"@level":"info","@message":"m","a":[{}]}`))
	f.Add([]byte("[WARN] x"))
	f.Fuzz(func(t *testing.T, line []byte) {
		rec := parseLine(line)
		if rec.message == "" && len(line) > 0 && !rec.json {
			t.Errorf("%q lost its text", line)
		}
	})
}

func FuzzStdioData(f *testing.F) {
	f.Add([]byte{0x08, 0x01, 0x12, 0x01, 'a'})
	f.Add([]byte{0x12, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) { stdioData(raw) }) // must not panic
}

func TestStdioData(t *testing.T) {
	if channel, data := stdioData([]byte{0x08, 0x02, 0x1a, 0x00, 0x12, 0x02, 'h', 'i'}); channel != 2 || string(data) != "hi" {
		t.Errorf("got %d, %q", channel, data)
	}
}

func TestOutputIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newRecorder(t)
		o := newOutput(slog.New(log))
		for range lineBurst + 50 {
			o.stdout([]byte("line"), false)
		}
		if got := len(log.all); got != lineBurst {
			t.Errorf("%d records, want %d", got, lineBurst)
		}
		if got := o.droppedLines(); got != 50 {
			t.Errorf("%d dropped, want 50", got)
		}
		time.Sleep(time.Second)
		for range lineRate + 10 {
			o.stdout([]byte("line"), false)
		}
		o.flush()
		// The lines of one second, and a report of each time of silence.
		if got, want := len(log.all), lineBurst+lineRate+2; got != want {
			t.Errorf("%d records, want %d", got, want)
		}
		if got := log.all[lineBurst]; !strings.Contains(got, "suppressed=50") {
			t.Errorf("got %q", got)
		}
		if got := log.all[len(log.all)-1]; !strings.Contains(got, "suppressed=10") {
			t.Errorf("got %q", got)
		}
	})
}

func TestTailKeepsTheLastLines(t *testing.T) {
	o := newOutput(slog.New(slog.DiscardHandler))
	for i := range 100 {
		o.stderr(fmt.Appendf(nil, "line %d %s", i, strings.Repeat("é", tailWidth)), false)
	}
	lines := strings.Split(o.tail(), " | ")
	if len(lines) != tailLines || !strings.HasPrefix(lines[0], "line 80 ") || !strings.HasPrefix(lines[tailLines-1], "line 99 ") {
		t.Errorf("got %d lines from %.20q to %.20q", len(lines), lines[0], lines[len(lines)-1])
	}
}

func TestPanicStacksAreErrors(t *testing.T) {
	log := newRecorder(t)
	o := newOutput(slog.New(log))
	for _, line := range []string{"fine", "panic: boom", "", "goroutine 1 [running]:", `{"msg":"m"}`, "fine"} {
		o.stderr([]byte(line), false)
	}
	want := []string{"INFO fine", "ERROR panic: boom", "ERROR goroutine 1 [running]:", "INFO m", "INFO fine"}
	for i, prefix := range want {
		if i >= len(log.all) || !strings.HasPrefix(log.all[i], prefix+" stream=stderr") {
			t.Fatalf("got %q, want %q", log.all, want)
		}
	}
}
