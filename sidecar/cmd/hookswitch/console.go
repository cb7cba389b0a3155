package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"

	"github.com/hookswitch/hookswitch/sidecar"
)

// console prints a line for every event, rejection and attempt, in colour on
// a terminal (NO_COLOR is honoured). It shows no phone numbers and no text of
// messages, so that a screen can be shared.
type console struct {
	mu      sync.Mutex // keeps lines whole
	out     io.Writer
	retries int // waits in the retry schedule
}

var (
	green  = color.New(color.FgGreen).SprintFunc()
	red    = color.New(color.FgRed).SprintFunc()
	yellow = color.New(color.FgYellow).SprintFunc()
	bold   = color.New(color.Bold).SprintFunc()
	faint  = color.New(color.Faint).SprintFunc()
)

func (c *console) line(at time.Time, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, "%s  %s\n", faint(at.Format("15:04:05.000")), strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (c *console) accepted(a sidecar.Accepted) {
	note := ""
	switch {
	case a.Duplicate:
		note = yellow("duplicate, not delivered again")
	case len(a.Targets) == 0:
		note = yellow("nobody handles it: kept")
	}
	c.line(a.At, "→ %s  %s  verified key=%s skew=%.1fs  %s", bold(pad(typeName(a.Type), 20)), short(a.ID), a.KeyLabel, a.Skew.Seconds(), note)
}

func (c *console) rejected(r sidecar.Rejected) {
	c.line(r.At, "%s %s", red(fmt.Sprintf("✗ rejected %d", r.Status)), strings.TrimPrefix(r.Detail, "webhook: "))
}

func (c *console) attempt(a sidecar.Attempt) {
	target := strings.Replace(a.Target, ":", " ", 1)
	took := roundDuration(a.Took).String()
	status := ""
	if a.Status != 0 {
		status = fmt.Sprintf(" %d", a.Status)
	}
	head := fmt.Sprintf("  └ %s  %s", pad(target, 18), short(a.ID))
	switch a.State {
	case "done":
		again := ""
		if a.N > 1 {
			again = fmt.Sprintf("  (attempt %d)", a.N)
		}
		c.line(a.At, "%s  %s  %s%s", head, green("✓"+status), took, again)
	case "dead":
		c.line(a.At, "%s  %s  %s  %s", head, red("✗"+status), a.Error, red(fmt.Sprintf("dead after %d attempt(s)", a.N)))
	default:
		wait := roundDuration(a.NextAt.Sub(a.At))
		c.line(a.At, "%s  %s  %s  %s", head, red("✗"+status), a.Error, yellow(fmt.Sprintf("retry %d/%d in %s", a.N, c.retries, wait)))
	}
}

func typeName(t string) string {
	if t == "" {
		return "(no type)"
	}
	return t
}

// short returns the beginning of an id, enough to tell events on a screen
// apart.
func short(id string) string {
	if id == "" {
		return "(no id) "
	}
	return pad(id[:min(len(id), 8)], 8)
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-len(s)))
}
