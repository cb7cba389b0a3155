package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

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

func printStatus(w io.Writer, p palette, s adminapi.Status) {
	ready := p.green("ready")
	if !s.Ready {
		ready = p.red("not ready") + ": " + s.Unready
	}
	mode := ""
	if s.Dev {
		mode = " dev"
	}
	fmt.Fprintf(w, "hookswitch %s%s  %s  up %s\n\n", s.Version, mode, ready, age(time.Duration(s.Uptime*float64(time.Second))))
	for _, warning := range s.Warnings {
		fmt.Fprintln(w, fold(screenWidth, "             ", piece{"  warning    ", p.yellow, true}, piece{text: warning}))
	}
	if len(s.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "  receives   %s   keys %s\n", s.Webhooks, strings.Join(s.Keys, ", "))
	fmt.Fprintf(w, "  accepted   %.1f/s   ack p50 %s  p99 %s   (last minute; Telnyx waits 2 s)\n", s.Ack.Rate, millis(s.Ack.P50), millis(s.Ack.P99))
	refused := fmt.Sprintf("%.1f/s", s.Ack.RejectedRate)
	fmt.Fprintf(w, "  rejected   %s   %d kept: hookswitch tail --status rejected --since 1h\n", refused, s.RejectedKept)
	if n := s.Strays.Count; n > 0 && s.Strays.At != nil {
		fmt.Fprintf(w, "  %s %s to other paths, the latest %s ago to %q: webhooks are received on %s\n",
			p.yellow("astray    "), count(n, "request"), age(time.Since(*s.Strays.At)), cut(s.Strays.Path, 60), strings.Join(s.Paths, ", "))
	}
	disk := ""
	if s.Store.DiskFree > 0 {
		disk = "   disk " + byteSize(s.Store.DiskFree) + " free"
	}
	if s.Store.Error != "" {
		fmt.Fprintf(w, "  store      %s%s\n\n", p.red(s.Store.Error), disk)
		fmt.Fprintln(w, "  until it does, waiting and dead events are unknown")
		printPlugins(w, p, s.Plugins)
		return
	}
	fmt.Fprintf(w, "  store      %s%s\n", byteSize(uint64(max(0, s.Store.Bytes))), disk)
	if s.Unhandled > 0 {
		fmt.Fprintf(w, "  %s  %s that no target wanted, kept: hookswitch events list --status unhandled\n", p.yellow("unhandled"), count(s.Unhandled, "event"))
	}
	fmt.Fprintln(w)

	width, handled := len("TARGET"), false
	for _, t := range s.Targets {
		width = max(width, min(len(t.Target), 32))
	}
	fmt.Fprintf(w, "  %s  PENDING  RETRYING  DEAD  OLDEST\n", pad("TARGET", width))
	for _, t := range s.Targets {
		oldest := "–"
		if t.Oldest != nil {
			oldest = age(time.Since(*t.Oldest))
		}
		dead := pad(fmt.Sprint(t.Dead), 4)
		if t.Dead > 0 {
			dead = p.red(dead)
		}
		fmt.Fprintf(w, "  %s  %s  %s  %s  %s", pad(cut(t.Target, width), width), pad(fmt.Sprint(t.Pending), 7), pad(fmt.Sprint(t.Retrying), 8), dead, oldest)
		if t.Configured {
			handled = true
		} else {
			fmt.Fprint(w, "  "+p.yellow("not configured"))
		}
		fmt.Fprintln(w)
	}
	if !handled {
		fmt.Fprintln(w, p.yellow("  nothing handles events yet"))
	}
	printPlugins(w, p, s.Plugins)
}

func printPlugins(w io.Writer, p palette, plugins []adminapi.PluginStatus) {
	if len(plugins) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, pl := range plugins {
		state := p.green(pl.State)
		if pl.State != "ready" {
			state = p.yellow(pl.State)
		}
		fmt.Fprintln(w, fold(screenWidth, "             ", piece{"  plugin     " + pl.Name + " " + pl.Version + "  ", nil, true}, piece{state, nil, true}, piece{text: "  " + pl.LastError}))
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
