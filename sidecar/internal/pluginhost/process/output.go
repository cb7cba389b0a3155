package process

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	lineMax   = 16 << 10 // longer lines are cut
	lineRate  = 200      // lines a second that reach the log
	lineBurst = 1000     // and at once
	tailLines = 20       // lines of stderr kept for the explanation of a failure
	tailWidth = 500      // bytes kept of each
)

// output logs the lines that a plugin writes, and remembers the last of them. It
// is safe for concurrent use.
type output struct {
	log *slog.Logger

	mu         sync.Mutex
	last       []string // the last lines of stderr, oldest first
	panicking  bool     // a Go panic has begun; what follows is its stack
	tokens     float64
	filled     time.Time
	suppressed int
	dropped    int // all that were suppressed
}

func newOutput(log *slog.Logger) *output {
	return &output{log: log, tokens: lineBurst, filled: time.Now()}
}

func (o *output) stderr(line []byte, truncated bool) {
	rec := parseLine(line)
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	if rec.json {
		text = rec.message
	}
	o.mu.Lock()
	o.last = append(o.last, text[:min(len(text), tailWidth)])
	if len(o.last) > tailLines {
		o.last = o.last[1:]
	}
	if rec.json {
		o.panicking = false
	} else {
		if strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") {
			o.panicking = true
		}
		if o.panicking {
			rec.level = slog.LevelError
		}
	}
	o.mu.Unlock()
	o.write("stderr", rec, truncated)
}

// misread logs what is wrong with a line of a JSON-lines program.
func (o *output) misread(text string) {
	o.write("stdout", record{level: slog.LevelWarn, message: text,
		attrs: []slog.Attr{slog.Any("code", telemetry.CodePluginMisread)}}, false)
}

func (o *output) stdout(line []byte, truncated bool) {
	o.write("stdout", parseLine(line), truncated)
}

// note adds a remark of the host to the last lines.
func (o *output) note(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = append(o.last, text)
}

func (o *output) write(stream string, rec record, truncated bool) {
	if rec.message == "" && len(rec.attrs) == 0 {
		return
	}
	if !o.allow() {
		return
	}
	attrs := append([]slog.Attr{slog.String("stream", stream)}, rec.attrs...)
	if truncated {
		attrs = append(attrs, slog.Bool("truncated", true))
	}
	o.log.LogAttrs(context.Background(), rec.level, rec.message, attrs...)
}

// allow spends one token of the bucket, and reports the lines that found none.
func (o *output) allow() bool {
	o.mu.Lock()
	now := time.Now()
	o.tokens = min(lineBurst, o.tokens+now.Sub(o.filled).Seconds()*lineRate)
	o.filled = now
	if o.tokens < 1 {
		o.suppressed++
		o.dropped++
		o.mu.Unlock()
		return false
	}
	o.tokens--
	n := o.suppressed
	o.suppressed = 0
	o.mu.Unlock()
	o.report(n)
	return true
}

// flush reports what was suppressed last.
func (o *output) flush() {
	o.mu.Lock()
	n := o.suppressed
	o.suppressed = 0
	o.mu.Unlock()
	o.report(n)
}

func (o *output) report(suppressed int) {
	if suppressed > 0 {
		o.log.Warn("plugin writes too much; lines were dropped", "code", telemetry.CodePluginFloods, "suppressed", suppressed)
	}
}

// droppedLines returns how many lines did not reach the log.
func (o *output) droppedLines() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// tail returns the last lines of stderr in one.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.ToValidUTF8(strings.Join(o.last, " | "), "\uFFFD")
}

// copyTo returns a writer for one of the streams, which splits it into lines,
// and a function that ends it.
func (o *output) copyTo(each func([]byte, bool)) (w io.Writer, end func()) {
	pr, pw := io.Pipe()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		link.ReadLines(pr, lineMax, each)
	}()
	return pw, func() {
		pw.Close()
		<-finished
	}
}
