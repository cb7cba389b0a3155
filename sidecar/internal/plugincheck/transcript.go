package plugincheck

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// transcript is the slog.Handler of a plugin's output. It keeps what the plugin
// prints, to explain a failure, and passes it on. It is safe for concurrent use.
type transcript struct {
	next slog.Handler
	*printed
}

// printed is shared by the handlers that come from one transcript.
type printed struct {
	mu    sync.Mutex
	lines []printedLine // oldest first
}

// printedLine is a line, or several that belong together.
type printedLine struct {
	text   string
	stdout bool // on standard output
}

// printedMax bounds what is kept. It is more than a plugin may print at once.
const printedMax = 1000

func newTranscript(log *slog.Logger) *transcript {
	return &transcript{next: log.Handler(), printed: new(printed)}
}

func (t *transcript) Enabled(context.Context, slog.Level) bool { return true }

func (t *transcript) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &transcript{next: t.next.WithAttrs(attrs), printed: t.printed}
}

func (t *transcript) WithGroup(name string) slog.Handler {
	return &transcript{next: t.next.WithGroup(name), printed: t.printed}
}

func (t *transcript) Handle(ctx context.Context, rec slog.Record) error {
	line := printedLine{text: rec.Message}
	rec.Attrs(func(a slog.Attr) bool {
		if a.Key == "stream" {
			line.stdout = a.Value.String() == "stdout"
		} else {
			line.text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
		return true
	})
	t.mu.Lock()
	if len(t.lines) == printedMax {
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, line)
	t.mu.Unlock()
	if !t.next.Enabled(ctx, rec.Level) {
		return nil
	}
	return t.next.Handle(ctx, rec)
}

// detailMax is how many lines of a plugin's output an explanation shows.
const detailMax = 25

// tail returns the lines that best explain how a process ended: a panic from its
// first line on, or else the last lines. panicked says which.
func (t *transcript) tail() (lines []string, panicked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.lines {
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

// quoteSome quotes the first few lines.
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

// stdout returns what a program wrote to standard output that is not part of the
// protocol. misread are the lines that were meant to be and cannot be read.
func (t *transcript) stdout() (other, misread []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.lines {
		switch {
		case !s.stdout:
		case strings.HasPrefix(s.text, link.LineMisread), strings.HasPrefix(s.text, "{") && strings.HasSuffix(s.text, " truncated=true"):
			misread = append(misread, s.text)
		default:
			other = append(other, s.text)
		}
	}
	return other, misread
}
