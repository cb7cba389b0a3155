package pluginhost

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// witness keeps what a plugin prints while it starts, for the explanation of a
// failure, and passes it on. It is the slog.Handler of the plugin's output, and
// safe for concurrent use.
type witness struct {
	next slog.Handler
	*testimony
}

type testimony struct {
	mu   sync.Mutex
	said []said
}

// said is a line, or several that belong together.
type said struct {
	text   string
	level  slog.Level
	stdout bool // on standard output
}

// saidMax bounds what is kept. It is more than a plugin may print at once.
const saidMax = 1000

func newWitness(log *slog.Logger) *witness {
	return &witness{next: log.Handler(), testimony: new(testimony)}
}

func (w *witness) Enabled(context.Context, slog.Level) bool { return true }

func (w *witness) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *w
	c.next = w.next.WithAttrs(attrs)
	return &c
}

func (w *witness) WithGroup(name string) slog.Handler {
	c := *w
	c.next = w.next.WithGroup(name)
	return &c
}

func (w *witness) Handle(ctx context.Context, rec slog.Record) error {
	var s said
	var attrs strings.Builder
	rec.Attrs(func(a slog.Attr) bool {
		if a.Key == "stream" {
			s.stdout = a.Value.String() == "stdout"
		} else {
			fmt.Fprintf(&attrs, " %s=%v", a.Key, a.Value)
		}
		return true
	})
	s.text, s.level = rec.Message+attrs.String(), rec.Level
	w.mu.Lock()
	if len(w.said) == saidMax {
		w.said = w.said[1:]
	}
	w.said = append(w.said, s)
	w.mu.Unlock()
	if !w.next.Enabled(ctx, rec.Level) {
		return nil
	}
	return w.next.Handle(ctx, rec)
}

// detailMax is how many lines of a plugin's output an explanation shows.
const detailMax = 25

// lastWords returns the lines that explain the end of a process best: a panic
// from its beginning, and otherwise the last ones. panicked says which.
func (w *witness) lastWords() (lines []string, panicked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.said {
		lines = append(lines, strings.Split(strings.TrimRight(s.text, "\n"), "\n")...)
	}
	for i, line := range lines {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			lines = lines[i:]
			return lines[:min(len(lines), detailMax)], true
		}
	}
	return lines[max(0, len(lines)-detailMax):], false
}

// quoteSome shows the first of some lines.
func quoteSome(lines []string) string {
	const most, width = 3, 120
	var quoted []string
	for _, line := range lines[:min(len(lines), most)] {
		if len(line) > width {
			line = strings.ToValidUTF8(line[:width], "") + "…"
		}
		quoted = append(quoted, fmt.Sprintf("%q", line))
	}
	text := strings.Join(quoted, ", ")
	if len(lines) > most {
		text += ", …"
	}
	return text
}
