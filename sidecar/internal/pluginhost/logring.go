package pluginhost

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"
)

const (
	ringLines = 1000      // of each plugin
	ringBytes = 256 << 10 // likewise
)

// LogLine is a line that a plugin has printed, or that the host has logged about
// it.
type LogLine struct {
	Time    time.Time      `json:"time"`
	Level   string         `json:"level"`
	Message string         `json:"message"`
	Attrs   map[string]any `json:"attrs,omitempty"`
}

// logRing keeps the last lines of a plugin. It is safe for concurrent use.
type logRing struct {
	mu    sync.Mutex
	lines []json.RawMessage // LogLines, oldest first
	size  int               // bytes of lines
	next  int               // number of the line that comes next, from 0
	more  chan struct{}     // closed and replaced when there is another
}

func newLogRing() *logRing { return &logRing{more: make(chan struct{})} }

func (r *logRing) add(line LogLine) {
	text, err := json.Marshal(line)
	if err != nil { // an attribute that has no JSON
		line.Attrs = nil
		text, _ = json.Marshal(line)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, text)
	r.size += len(text)
	r.next++
	for len(r.lines) > ringLines || r.size > ringBytes && len(r.lines) > 1 {
		r.size -= len(r.lines[0])
		r.lines[0] = nil
		r.lines = r.lines[1:]
	}
	close(r.more)
	r.more = make(chan struct{})
}

// from returns the lines from number n on that are kept, the number that comes
// after them, and a channel that is closed when there are more.
func (r *logRing) from(n int) (lines []json.RawMessage, next int, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.next - len(r.lines)
	skip := min(max(0, n-first), len(r.lines))
	return append(lines, r.lines[skip:]...), r.next, r.more
}

// last is from for the last n lines.
func (r *logRing) last(n int) (lines []json.RawMessage, next int, more <-chan struct{}) {
	r.mu.Lock()
	start := r.next - n
	r.mu.Unlock()
	return r.from(start)
}

// ringHandler passes records on, and keeps them in a ring, whatever level the
// log has.
type ringHandler struct {
	slog.Handler
	ring  *logRing
	attrs []slog.Attr
}

func (h ringHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.Handler.Enabled(ctx, level)
}

func (h ringHandler) Handle(ctx context.Context, rec slog.Record) error {
	line := LogLine{Time: rec.Time, Level: rec.Level.String(), Message: rec.Message}
	add := func(a slog.Attr) bool {
		if line.Attrs == nil {
			line.Attrs = make(map[string]any)
		}
		line.Attrs[a.Key] = AttrValue(a.Value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	rec.Attrs(add)
	h.ring.add(line)
	if !h.Handler.Enabled(ctx, rec.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, rec)
}

func (h ringHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return h
}

// WithGroup is not used by the host; the lines of the ring have no groups.
func (h ringHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// AttrValue returns a value of a record as people read it.
func AttrValue(v slog.Value) any {
	switch v = v.Resolve(); v.Kind() {
	case slog.KindDuration:
		if d := v.Duration(); d > time.Second {
			return d.Round(10 * time.Millisecond).String()
		}
		return v.Duration().Round(time.Microsecond).String()
	case slog.KindTime, slog.KindGroup:
		return v.String()
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return err.Error()
		}
	}
	return v.Any()
}
