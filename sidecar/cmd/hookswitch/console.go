package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

// console prints a line for each event, rejection and attempt. It shows no phone
// numbers and no text of messages, so that a screen can be shared.
type console struct {
	mu      sync.Mutex // keeps lines whole
	out     io.Writer
	palette palette
	form    string // pretty, compact or json
	retries int    // waits in the retry schedule; 0 if unknown
	view    view   // guarded by mu
}

// print prints one message.
func (c *console) print(m live.Message) error {
	var line string
	switch {
	case c.form == "json":
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		line = string(text)
	case c.form == "compact":
		line = c.compact(m)
	default:
		line = c.pretty(m)
	}
	if line == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.view.noted(m, line) {
		return nil
	}
	return c.write(line + "\n")
}

// follow prints the messages of v until the end of its feed, or of the output.
func (c *console) follow(v *live.Viewer) {
	for {
		messages, lost, err := v.Next(context.Background())
		if err != nil {
			return
		}
		if lost > 0 {
			messages = append([]live.Message{{Kind: live.Lost, At: messages[0].At, Lost: lost}}, messages...)
		}
		for _, m := range messages {
			if c.print(m) != nil {
				return
			}
		}
	}
}

// pretty shows everything, on two lines if needed.
func (c *console) pretty(m live.Message) string {
	p := &c.palette
	pieces := []piece{{m.At.Local().Format("15:04:05.000") + "  ", p.faint, false}}
	add := func(paint paint, format string, args ...any) {
		pieces = append(pieces, piece{fmt.Sprintf(format, args...), paint, false})
	}
	switch m.Kind {
	case live.Accepted, live.Duplicate:
		add(nil, "→ ")
		add(p.bold, "%s", pad(typeName(m.Type), 20))
		add(nil, "  %s  verified key=%s skew=%.1fs  ", short(m.ID), m.KeyLabel, m.Skew)
		switch {
		case m.Kind == live.Duplicate:
			add(p.yellow, "duplicate, not delivered again")
		case len(m.Targets) == 0:
			add(p.yellow, "unhandled: kept")
		}
	case live.Rejected:
		add(p.red, "✗ rejected %d", m.Status)
		add(nil, " %s", m.Error)
		if m.ID != "" && m.Reason != accept.UnknownPath { // whose signature was not checked
			add(nil, "  ")
			pieces = append(pieces, piece{"hookswitch verify --event " + m.ID, p.faint, true})
		}
	case live.Tried, live.Dead:
		add(nil, "  └ %s  %s  ", pad(strings.Replace(m.Target, ":", " ", 1), 18), short(m.ID))
		pieces = append(pieces, c.result(m)...)
	case live.Lost:
		add(p.yellow, "… lost %d messages: they came faster than they could be shown", m.Lost)
	default:
		return ""
	}
	return fold(screenWidth, strings.Repeat(" ", 18), pieces...)
}

// result shows how an attempt ended.
func (c *console) result(m live.Message) []piece {
	p := &c.palette
	status := ""
	if m.Status != 0 {
		status = fmt.Sprintf(" %d", m.Status)
	}
	took := roundDuration(time.Duration(m.Duration * float64(time.Second))).String()
	switch {
	case m.State == "done":
		again := ""
		if m.N > 1 {
			again = fmt.Sprintf("  (attempt %d)", m.N)
		}
		return []piece{{"✓" + status, p.green, false}, {"  " + took + again, nil, false}}
	case m.Kind == live.Dead:
		return []piece{{"✗" + status, p.red, false}, {"  " + m.Error + "  ", nil, false}, {fmt.Sprintf("dead after %d attempt(s)", m.N), p.red, false}}
	}
	return []piece{{"✗" + status, p.red, false}, {"  " + m.Error + "  ", nil, false}, {c.retry(m), p.yellow, false}}
}

func (c *console) retry(m live.Message) string {
	text := fmt.Sprintf("retry %d", m.N)
	if c.retries > 0 {
		text += fmt.Sprintf("/%d", c.retries)
	}
	if m.NextAt == nil {
		return text
	}
	return text + " in " + roundDuration(max(0, m.NextAt.Sub(m.At))).String()
}

// compact shows one short line.
func (c *console) compact(m live.Message) string {
	p := &c.palette
	mark, paint, text := "→", p.bold, ""
	switch m.Kind {
	case live.Accepted, live.Duplicate:
		text = short(m.ID) + " " + typeName(m.Type)
		if m.Kind == live.Duplicate {
			mark, paint = "⧉", p.yellow
		}
	case live.Rejected:
		mark, paint = "⊘", p.red
		text = pad(m.ID, 12) + fmt.Sprintf(" %d %s", m.Status, m.Reason)
		if m.Reason == accept.UnknownPath {
			text += fmt.Sprintf(" %q", m.Path)
		}
	case live.Tried, live.Dead:
		mark, paint = "✓", p.green
		answer := m.Error
		if m.Status != 0 {
			answer = fmt.Sprint(m.Status)
		}
		switch {
		case m.Kind == live.Dead:
			mark, paint, answer = "✗", p.red, answer+" dead"
		case m.State == "pending":
			mark, paint, answer = "↻", p.yellow, answer+" "+c.retry(m)
		}
		text = short(m.ID) + " " + m.Target + " " + answer
	case live.Lost:
		mark, paint, text = "…", p.yellow, fmt.Sprintf("lost %d messages", m.Lost)
	default:
		return ""
	}
	at := m.At.Local().Format("15:04:05")
	return p.faint(at) + " " + paint(mark) + " " + cut(oneLine(text), screenWidth-len(at)-3)
}

func typeName(t string) string {
	if t == "" {
		return "(no type)"
	}
	return oneLine(t)
}

// short returns the beginning of an id, enough to tell events on a screen
// apart.
func short(id string) string {
	if id == "" {
		return "(no id) "
	}
	return pad(oneLine(id[:min(len(id), 8)]), 8)
}
