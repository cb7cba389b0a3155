package process

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
		{"numbers keep their digits", `{"msg":"m","id":1234567890123456789,"n":[{"x":1e400,"y":0.10}]}`, "INFO m id=1234567890123456789 n=[map[x:1e400 y:0.10]]"},
		{"what Python writes for no number", `{"level": "error", "n": NaN, "i": -Infinity, "in": {"x":[NaN]}, "msg": "m"}`, `ERROR m i=-Infinity in={"x":[NaN]} n=NaN`},
		{"a level keeps its line that is cut", `{"level":50,"msg":"` + strings.Repeat("x", 20), `ERROR {"level":50,"msg":"` + strings.Repeat("x", 20)},
		{"a level keeps its line that is broken", `{"level":"warn","a":'b',"msg":"m"} and more`, `WARN {"level":"warn","a":'b',"msg":"m"} and more`},
		{"the last of two counts", `{"level":"info","msg":"first","level":"error","msg":"m","a":1,"a":2}`, "ERROR m a=2"},
		{"the places of the sidecar are its own", `{"level":"loud","msg":"m","message":"x","code":"dead-letter","Code":1,"target":"plugin:other","MSG":"y","Plugin":"other"}`,
			"INFO m plugin_Code=1 plugin_MSG=y plugin_code=dead-letter plugin_level=loud message=x plugin_target=plugin:other"},
		{"also if others are there already", `{"msg":"m","code":1,"plugin_code":2}`, "INFO m plugin_plugin_code=1 plugin_code=2"},
		{"a level in two places", `{"@level":"warn","level":"error","@message":"m","msg":"other"}`, "WARN m plugin_level=error plugin_msg=other"},
		{"deep nesting", `{"level":"error","msg":"m","a":` + strings.Repeat("[", 7000) + strings.Repeat("]", 7000) + `}`, "ERROR m a=" + strings.Repeat("[", 7000) + strings.Repeat("]", 7000)},
		{"spaces", "{ \"a\" : \"b\\\"}\" ,\t\"msg\":\"m\" } ", `INFO m a=b"}`},
		{"nothing at all", `{}`, "INFO {}"},
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

// A plugin's line reaches a JSON log with all its digits, and with one value for
// each of the sidecar's own keys.
func TestPluginLineInALogOfJSON(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&text, nil)).With("plugin", "x", "pid", 7)
	line := []byte(`{"level":"error","msg":"m","time":"1999-01-01T00:00:00Z","code":"dead-letter","pid":1,"plugin":"other",` +
		`"stream":"none","id":1234567890123456789,"x":NaN,"deep":{"n":12345678901234567890}}`)
	for _, print := range []func([]byte, bool){newOutput(log).stderr, newOutput(log).stdout} {
		text.Reset()
		print(line, false)
		logged := text.String()
		for key, want := range map[string]string{"level": `"ERROR"`, "msg": `"m"`, "plugin": `"x"`, "pid": "7",
			"plugin_code": `"dead-letter"`, "id": "1234567890123456789", "x": `"NaN"`, "deep": `{"n":12345678901234567890}`} {
			if !strings.Contains(logged, `"`+key+`":`+want) {
				t.Errorf("%s is not %s: %s", key, want, logged)
			}
		}
		for _, key := range []string{"time", "level", "msg", "plugin", "pid", "stream"} {
			if n := strings.Count(logged, `"`+key+`":`); n != 1 {
				t.Errorf("%s is there %d times: %s", key, n, logged)
			}
		}
		if strings.Contains(logged, `"code":`) || strings.Contains(logged, "1999") {
			t.Errorf("a place of the sidecar was taken: %s", logged)
		}
	}
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
		log := new(recorder)
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
	log := new(recorder)
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

// recorder is a slog.Handler that keeps what is logged.
type recorder struct{ all []string }

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	line := rec.Level.String() + " " + rec.Message
	rec.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	r.all = append(r.all, line)
	return nil
}
