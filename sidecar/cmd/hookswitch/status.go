package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

func statusCommand() *cli.Command {
	c := command("status", "show the state of a sidecar on one screen", "", []cli.Flag{outputFlag()},
		func(ctx context.Context, c *cli.Command, api *client) error {
			var s adminapi.Status
			if err := api.get(ctx, "/status", nil, &s); err != nil {
				return err
			}
			return show(c, s, func(w io.Writer) { printStatus(w, newPalette(c), s) })
		})
	c.Description = "Whether it is ready, what is waiting where, what is dead, how fast webhooks are\n" +
		"acknowledged, and how large the store is. JSON fields are only ever added."
	return c
}

// statusPage prints facts, each with a name, in lines that fit the screen.
type statusPage struct {
	w     io.Writer
	p     palette
	width int
}

const factIndent = 13

// fact prints a fact. What the texts say is never broken within a word.
func (s statusPage) fact(name string, paint paint, texts ...string) {
	pieces := []piece{{"  " + pad(name, factIndent-2), paint, true}}
	for i, text := range texts {
		if i > 0 {
			text = "   " + text
		}
		pieces = append(pieces, piece{text: text})
	}
	fmt.Fprintln(s.w, fold(s.width, strings.Repeat(" ", factIndent), pieces...))
}

func printStatus(w io.Writer, p palette, s adminapi.Status) {
	page := statusPage{w, p, widthOf(w)}
	if page.width < noLimit { // in a pipe a fact is a line
		page.width = min(screenWidth, page.width)
	}
	state := []piece{{p.green("ready"), nil, false}}
	if !s.Ready {
		state = []piece{{p.red("not ready") + ": ", nil, true}, {text: s.Unready}}
	}
	title := "hookswitch " + s.Version
	if s.Dev {
		title += " dev"
	}
	pieces := append([]piece{{title + "  ", nil, false}}, state...)
	fmt.Fprintln(w, fold(page.width, "  ", append(pieces, piece{text: "  up " + age(time.Duration(s.Uptime*float64(time.Second)))})...))
	fmt.Fprintln(w)
	for _, warning := range s.Warnings {
		page.fact("warning", p.yellow, warning)
	}
	if len(s.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	page.traffic(s)
	disk := ""
	if s.Store.DiskFree > 0 {
		disk = "disk " + byteSize(s.Store.DiskFree) + " free"
	}
	if s.Store.Error != "" {
		page.fact("store", p.red, s.Store.Error, disk)
		fmt.Fprintln(w, "\n  until it does, waiting and dead events are unknown")
		page.plugins(s.Plugins)
		return
	}
	page.fact("store", nil, byteSize(uint64(max(0, s.Store.Bytes))), disk)
	if s.Unhandled > 0 {
		page.fact("unhandled", p.yellow, count(s.Unhandled, "event")+" that no target wanted, kept: hookswitch events list --status unhandled")
	}
	page.targets(s.Targets)
	page.plugins(s.Plugins)
}

// traffic shows what comes in.
func (s statusPage) traffic(st adminapi.Status) {
	s.fact("receives", nil, st.Webhooks, "keys "+strings.Join(st.Keys, ", "))
	s.fact("accepted", nil, fmt.Sprintf("%.1f/s", st.Ack.Rate), fmt.Sprintf("ack p50 %s  p99 %s", millis(st.Ack.P50), millis(st.Ack.P99)), "(last minute; Telnyx waits 2 s)")
	s.fact("rejected", nil, fmt.Sprintf("%.1f/s", st.Ack.RejectedRate), fmt.Sprintf("%d kept: hookswitch tail --status rejected --since 1h", st.RejectedKept))
	if n := st.Strays.Count; n > 0 && st.Strays.At != nil {
		s.fact("astray", s.p.yellow, fmt.Sprintf("%s to other paths, the latest %s ago to %q: webhooks are received on %s",
			count(n, "request"), age(time.Since(*st.Strays.At)), cut(st.Strays.Path, 60), strings.Join(st.Paths, ", ")))
	}
}

// targets shows a line for each target, and says of those that are gone what to do
// with what they left.
func (s statusPage) targets(list []adminapi.TargetStatus) {
	const missing = "not configured"
	numbers := "  PENDING  RETRYING  DEAD  OLDEST"
	narrow := s.width < 2+12+len(numbers+missing)
	if narrow { // what is gone is said below
		numbers = strings.TrimSuffix(numbers, "  OLDEST")
	}
	width, handled, gone := len("TARGET"), false, []string(nil)
	for _, t := range list {
		width = max(width, utf8.RuneCountInString(t.Target))
	}
	width = min(width, max(12, s.width-2-len(numbers)-len("  "+missing)))
	fmt.Fprintf(s.w, "\n  %s%s\n", pad("TARGET", width), numbers)
	for _, t := range list {
		oldest, end := "–", ""
		if t.Oldest != nil {
			oldest = age(time.Since(*t.Oldest))
		}
		dead := pad(fmt.Sprint(t.Dead), 4)
		if t.Dead > 0 {
			dead = s.p.red(dead)
		}
		if t.Configured {
			handled = true
		} else {
			end = "  " + s.p.yellow(missing)
			gone = append(gone, t.Target)
		}
		if end = "  " + oldest + end; narrow {
			end = ""
		}
		name := t.Target
		if widthOf(s.w) < noLimit {
			name = cut(name, width)
		}
		fmt.Fprintf(s.w, "  %s  %s  %s  %s%s\n", pad(name, width), pad(fmt.Sprint(t.Pending), 7), pad(fmt.Sprint(t.Retrying), 8), dead, end)
	}
	if len(gone) > 0 {
		fmt.Fprintln(s.w, fold(s.width, "  ", piece{"  ", nil, true}, piece{text: fmt.Sprintf("%s gone: not configured any more. What waits is kept for when it is back; "+
			"\"hookswitch replay --target %s --to TARGET\" delivers it to another", gone[0]+" is", gone[0])}))
	}
	if !handled {
		fmt.Fprintln(s.w, s.p.yellow("  nothing handles events yet"))
	}
}

func (s statusPage) plugins(plugins []adminapi.PluginStatus) {
	if len(plugins) > 0 {
		fmt.Fprintln(s.w)
	}
	for _, pl := range plugins {
		state, trouble := s.p.green(pl.State), ""
		if pl.State != "ready" {
			state = s.p.yellow(pl.State)
		}
		if pl.LastError != "" {
			trouble = "  " + pl.LastError
			if pl.LastErrorAt != nil {
				trouble = fmt.Sprintf("  %s ago: %s", age(time.Since(*pl.LastErrorAt)), pl.LastError)
			}
		}
		fmt.Fprintln(s.w, fold(s.width, strings.Repeat(" ", factIndent),
			piece{"  plugin     " + strings.TrimSpace(pl.Name+" "+pl.Version) + "  ", nil, true}, piece{state, nil, true}, piece{text: trouble}))
	}
}

// age shows a duration in its two largest units.
func age(d time.Duration) string {
	d = d.Round(time.Second)
	switch days := d / (24 * time.Hour); {
	case d < time.Minute:
		return d.String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case days == 0:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%dh", days, d%(24*time.Hour)/time.Hour)
	}
}

// millis shows seconds as a time, and 0, for nothing measured, as a dash.
func millis(seconds float64) string {
	if seconds == 0 {
		return "–"
	}
	return roundDuration(time.Duration(seconds * float64(time.Second))).String()
}

// byteSize shows a size with three digits.
func byteSize(n uint64) string {
	size, unit := float64(n), 0
	for size >= 1000 && unit < 5 {
		size /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %ciB", size, "?KMGTP"[unit])
}
