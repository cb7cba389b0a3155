package simulation

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// history is what happened, as short lines. It is safe for concurrent use.
type history struct {
	began time.Time
	dir   string // which is different each time

	mu    sync.Mutex
	lines []string // guarded by mu
	notes int      // guarded by mu: of the lines, those that are not of the history
	sum   uint64   // guarded by mu
}

// add adds a line, with the time.
func (h *history) add(format string, args ...any) { h.line(true, fmt.Sprintf(format, args...)) }

// line adds a line, which counts for the digest or only helps a reader.
func (h *history) line(counts bool, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	line := fmt.Sprintf("%12.6f %s", time.Since(h.began).Seconds(), strings.ReplaceAll(text, h.dir, "DIR"))
	h.lines = append(h.lines, line)
	if !counts {
		h.notes++
		return
	}
	d := fnv.New64a()
	fmt.Fprintf(d, "%x %s", h.sum, line)
	h.sum = d.Sum64()
}

// digest is equal for equal histories.
func (h *history) digest() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("%016x of %d lines", h.sum, len(h.lines)-h.notes)
}

// last returns the latest lines.
func (h *history) last(n int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines[max(0, len(h.lines)-n):], "\n")
}

// handler notes what the product logs.
type handler struct{ h *history }

func (handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (l handler) Handle(_ context.Context, r slog.Record) error {
	text := "  log: " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	l.h.line(false, text)
	return nil
}

func (l handler) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l handler) WithGroup(string) slog.Handler      { return l }
