package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
)

// entry is a line of a plugin's log, or of the sidecar's about it, for people: on
// one line, and after it, each on a line of its own, what has several lines itself,
// such as the stack of a panic.
type entry struct {
	message string
	names   []string // of the attributes, in order
	values  map[string]string
}

// newEntry makes an entry without the attributes that a screen need not repeat.
func newEntry(message string, attrs map[string]any, hide ...string) entry {
	e := entry{message: message, values: make(map[string]string, len(attrs))}
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		if !slices.Contains(hide, name) {
			e.names = append(e.names, name)
			e.values[name] = fmt.Sprint(attrs[name])
		}
	}
	return e
}

// lastOutput is where the host quotes the last lines of a plugin in an error.
const lastOutput = "its last output: "

// unquote takes the last lines of a plugin out of an error.
func unquote(text string) (short string, output []string) {
	before, quoted, found := strings.Cut(text, lastOutput)
	if !found || !strings.Contains(quoted, " | ") {
		return text, nil
	}
	short = before + "its last output follows"
	if strings.Count(before, "(") > strings.Count(before, ")") && strings.HasSuffix(quoted, ")") {
		short, quoted = short+")", strings.TrimSuffix(quoted, ")")
	}
	return short, ownLines(strings.ReplaceAll(quoted, " | ", "\n"))
}

// text returns the message, the attributes of one line, and the lines that follow.
func (e entry) text() (message, attrs string, more []string) {
	message, more = unquote(strings.ReplaceAll(e.message, "\t", "    "))
	message, rest, _ := strings.Cut(message, "\n")
	more = append(ownLines(rest), more...)
	var b strings.Builder
	for _, name := range e.names {
		value, output := unquote(strings.TrimRight(e.values[name], "\n"))
		more = append(more, output...)
		if strings.Contains(value, "\n") {
			if name != "stack" {
				more = append(more, name+":")
			}
			more = append(more, ownLines(value)...)
			continue
		}
		if strings.ContainsAny(value, " \"\r\t\x1b") {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(&b, " %s=%s", name, value)
	}
	return oneLine(message), oneLine(b.String()), more
}

// ownLines splits a text into lines that are safe on a screen.
func ownLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		line = oneLine(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    "))
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// indented returns lines below the first one.
func indented(indent string, paint paint, lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		if paint != nil {
			line = paint(line)
		}
		b.WriteString("\n" + indent + line)
	}
	return b.String()
}

// pluginScreen prints the lines of plugins, and the host's about them, between the
// events of "hookswitch dev". It is a [slog.Handler].
type pluginScreen struct {
	out     io.Writer
	palette palette
	level   slog.Leveler
	attrs   []slog.Attr
}

func (h pluginScreen) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h pluginScreen) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = slices.Concat(h.attrs, attrs)
	return h
}

// WithGroup is not used by the host.
func (h pluginScreen) WithGroup(string) slog.Handler { return h }

func (h pluginScreen) Handle(_ context.Context, rec slog.Record) error {
	attrs := make(map[string]any)
	add := func(a slog.Attr) bool {
		attrs[a.Key] = pluginhost.AttrValue(a.Value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	rec.Attrs(add)
	p := h.palette
	mark, paint := "·", p.faint
	switch {
	case rec.Level >= slog.LevelError:
		mark, paint = "✗", p.red
	case rec.Level >= slog.LevelWarn:
		mark, paint = "!", p.yellow
	}
	name, _ := attrs["plugin"].(string)
	id := ""
	if event, ok := attrs["event_id"].(string); ok && event != "" {
		id = short(event) + "  "
	}
	text := rec.Message
	if err, ok := attrs["error"].(string); ok {
		text += ": " + err
	}
	message, rest, more := newEntry(text, attrs, "plugin", "pid", "stream", "event_id", "event_type", "attempt", "error").text()
	line := fmt.Sprintf("%s  %s %s  %s%s%s%s\n", p.faint(rec.Time.Local().Format("15:04:05.000")), paint(mark), pad(oneLine(name), 20), id,
		message, p.faint(rest), indented(strings.Repeat(" ", 18), p.faint, more))
	_, err := io.WriteString(h.out, line)
	return err
}
