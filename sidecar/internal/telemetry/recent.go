package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// recentLines is how many lines [Recent] keeps.
const recentLines = 200

// Recent keeps the latest warnings and errors of a log, for a report of what was
// wrong. The zero value is ready to use, and safe for concurrent use.
type Recent struct {
	mu    sync.Mutex
	lines []Line // guarded by mu: the oldest first
}

// Line is a record of a log.
type Line struct {
	Time    time.Time
	Level   string
	Message string
	Attrs   map[string]string
}

// Lines returns the lines that are kept, the oldest first.
func (r *Recent) Lines() []Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

func (r *Recent) add(l Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == recentLines {
		r.lines = slices.Delete(r.lines, 0, 1)
	}
	r.lines = append(r.lines, l)
}

// Watch returns a logger that writes what log writes, and keeps it in r. Lines
// that a plugin has printed, which have a stream, are not kept.
func (r *Recent) Watch(log *slog.Logger) *slog.Logger {
	if b, ok := log.Handler().(braked); ok { // what is not written is not kept, and SumUp finds the brake
		return slog.New(braked{recentHandler{Handler: b.Handler, recent: r}, b.brake})
	}
	return slog.New(recentHandler{Handler: log.Handler(), recent: r})
}

type recentHandler struct {
	slog.Handler
	recent *Recent
	attrs  []slog.Attr
}

func (h recentHandler) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelWarn {
		l := Line{Time: rec.Time, Level: rec.Level.String(), Message: rec.Message, Attrs: make(map[string]string)}
		add := func(a slog.Attr) bool {
			l.Attrs[a.Key] = a.Value.String()
			return true
		}
		for _, a := range h.attrs {
			add(a)
		}
		rec.Attrs(add)
		if _, printed := l.Attrs["stream"]; !printed {
			h.recent.add(l)
		}
	}
	return h.Handler.Handle(ctx, rec)
}

func (h recentHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	h.attrs = slices.Concat(h.attrs, attrs)
	return h
}

// WithGroup is not used by the sidecar; the lines that are kept have no groups.
func (h recentHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}
