package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

// view is what somebody at the keys has made of a console. The console's mu guards it.
type view struct {
	filter string // only lines with this text are shown
	hidden int    // lines that were not, since filter was set
	prompt string // what is typed for the next filter, after "/"; "" if nothing is
	latest live.Message
	failed live.Message // the latest that failed
}

// noted remembers a message, and reports whether its line is to be shown.
func (v *view) noted(m live.Message, line string) bool {
	switch m.Kind {
	case live.Accepted, live.Duplicate, live.Tried, live.Dead:
		v.latest = m
	}
	if m.Kind == live.Dead || m.Kind == live.Tried && m.State == "pending" {
		v.failed = m
	}
	if v.filter == "" || m.Kind == live.Lost || strings.Contains(strings.ToLower(line), strings.ToLower(v.filter)) {
		return true
	}
	v.hidden++
	return false
}

// write prints lines above what is being typed. The caller holds mu.
func (c *console) write(text string) error {
	if o, ok := c.out.(*outlet); ok && c.view.prompt != "" {
		text = o.erase() + text + c.view.prompt
	}
	_, err := io.WriteString(c.out, text)
	return err
}

// note prints lines about what a key has done.
func (c *console) note(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range lines {
		_ = c.write(c.palette.faint(fold(screenWidth, "  ", piece{text: "· " + line})) + "\n") // the console itself says so
	}
}

// shown returns the latest event on the screen, and the latest that failed.
func (c *console) shown() (latest, failed live.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view.latest, c.view.failed
}

// typing takes a key that belongs to a filter: "/" begins it, Enter sets it, and
// Escape leaves it as it was. It reports whether the key did.
func (c *console) typing(key rune) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, o := &c.view, c.out.(*outlet)
	if v.prompt == "" && key != '/' {
		return false
	}
	said := ""
	switch {
	case v.prompt == "":
		v.prompt = "/"
	case key == '\n' || key == '\r':
		if hidden := v.hidden; v.filter != "" && hidden > 0 {
			said = fmt.Sprintf("· %s were not shown\n", count(hidden, "line"))
		}
		v.filter, v.hidden, v.prompt = v.prompt[1:], 0, ""
		if v.filter == "" {
			said += "· everything is shown\n"
		} else {
			said += fmt.Sprintf("· only lines with %q are shown; / and Enter shows all again\n", v.filter)
		}
	case key == '\x1b':
		v.prompt = ""
	case key == '\x7f' || key == '\b':
		v.prompt = backspace(v.prompt)
	case key >= ' ':
		v.prompt += string(key)
	}
	_, _ = io.WriteString(c.out, o.erase()+said+v.prompt)
	return true
}
