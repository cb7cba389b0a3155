package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/plugincheck"
)

func testPluginCommand() *cli.Command {
	return &cli.Command{
		Name: "test", Usage: "send an event through a plugin and show the result", ArgsUsage: "FILE",
		Description: "Starts the plugin as the sidecar would, without one: the event is neither signed\n" +
			"nor stored, but the plugin handles it for real. Exits 0 only if the plugin says\n" +
			"that the event is done. Without --event it gets one that it asks for.",
		Flags: eventFlags(
			&cli.IntFlag{Name: "count", Value: 1, Usage: "send `N` events, one after the other"},
			&cli.StringFlag{Name: "work", Usage: "let it work in `DIR`, and keep the files it leaves", DefaultText: "one that is removed"},
		),
		// Values may contain commas.
		DisableSliceFlagSeparator: true,
		Action: func(ctx context.Context, c *cli.Command) error {
			switch {
			case c.Args().Len() != 1:
				return usageError("plugins test: name the file of one plugin")
			case c.String("event") != "" && c.String("from") != "":
				return usageError("plugins test: give --event or --from, not both")
			case c.Int("count") < 1:
				return usageError("--count: give a number of 1 or more")
			}
			if err := errors.Join(checkEvent(c), checkTimeout(c)); err != nil {
				return err
			}
			cfg, err := probeConfig(c)
			if err != nil {
				return err
			}
			cfg.WorkDir = c.String("work")
			t := &pluginTest{out: c.Writer, palette: newPalette(c), json: c.String("output") == "json"}
			return t.run(ctx, c, cfg)
		},
	}
}

// eventFlags returns the flags of commands that send a plugin events: their own and
// those of all.
func eventFlags(own ...cli.Flag) []cli.Flag {
	return probeFlags(append(own,
		&cli.StringFlag{Name: "event", Usage: "send the sample of this `TYPE`; \"hookswitch trigger --list\" lists them"},
		&cli.StringSliceFlag{Name: "set", Usage: "change one field: `PATH=VALUE`, repeatable"},
		&cli.StringFlag{Name: "from", Usage: "send the body in `FILE`, byte for byte unless --set is given"},
		&cli.DurationFlag{Name: "timeout", Usage: "how long it may take per event", DefaultText: "HOOKSWITCH_TIMEOUT"},
	)...)
}

// checkEvent refuses an --event that cannot be sent, before a plugin is started.
func checkEvent(c *cli.Command) error {
	if name := c.String("event"); name != "" {
		if _, ok := event.Sample(name); !ok {
			return noSample(name)
		}
	}
	return nil
}

// pluginTest is one run of "plugins test".
type pluginTest struct {
	out     io.Writer
	palette palette
	json    bool

	mu    sync.Mutex // keeps lines whole
	early []string   // the plugin's lines until it is known to load
	ready bool

	Plugin plugincheck.Report `json:"plugin"`
	Events []tried            `json:"events"`
	Log    []logged           `json:"log"`
	Left   []string           `json:"left,omitempty"` // files in the removed directory
}

// tried is an event and its result.
type tried struct {
	ID     string             `json:"id"`
	Type   string             `json:"type"`
	Result string             `json:"result"` // done, retry or dead
	After  plugincheck.Millis `json:"retry_after_ms,omitempty"`
	Reason string             `json:"reason,omitempty"`
	Detail string             `json:"detail,omitempty"`
	Took   plugincheck.Millis `json:"took_ms"`
}

// logged is a line that the plugin wrote.
type logged struct {
	Level   string         `json:"level"`
	Message string         `json:"message"`
	Attrs   map[string]any `json:"attrs,omitempty"`
}

func (t *pluginTest) run(ctx context.Context, c *cli.Command, cfg plugincheck.Config) error {
	cfg.Log = slog.New(&pluginLog{test: t})
	probe := plugincheck.Start(ctx, c.Args().First(), cfg)
	t.Plugin = probe.Report
	ok, err := false, error(nil)
	if probe.Report.OK {
		t.line("%s %s   ready in %s, %s", t.palette.green("✓"), pluginTitle(t.Plugin), shortly(t.Plugin.StartTook), pluginSpeech(t.Plugin))
		t.say()
		ok, err = t.deliver(ctx, c, probe)
		t.Left = probe.Left()
	}
	if stopErr := probe.Stop(); stopErr != nil && probe.Report.OK {
		t.Plugin.Warnings = append(t.Plugin.Warnings, "when it was stopped: "+stopErr.Error())
	}
	if err != nil {
		return err
	}
	if err := t.conclude(c); err != nil {
		return err
	}
	if !ok {
		return errSaid
	}
	return nil
}

// deliver sends the events, and reports whether all are done.
func (t *pluginTest) deliver(ctx context.Context, c *cli.Command, probe *plugincheck.Probe) (bool, error) {
	name := c.String("event")
	if name == "" && c.String("from") == "" {
		if name = anEventFor(t.Plugin.Patterns); name == "" {
			return false, usageError("plugins test: there is no sample of the events it asks for (%s): give --from FILE", strings.Join(t.Plugin.Patterns, " "))
		}
	}
	ok := true
	for range c.Int("count") {
		e, err := pluginEvent(name, c.String("from"), c.StringSlice("set"))
		if err != nil {
			return false, err
		}
		if !delivery.Wanted(t.Plugin.Patterns, e.Type) {
			return false, fmt.Errorf("the plugin does not ask for %s, so the sidecar would not send it: it asks for %s", typeName(e.Type), strings.Join(t.Plugin.Patterns, " "))
		}
		a, err := probe.Deliver(ctx, e)
		if err != nil {
			return false, err
		}
		t.note(e, a)
		ok = ok && a.Outcome == delivery.OutcomeDone
	}
	return ok, nil
}

// note records the result of an event.
func (t *pluginTest) note(e *delivery.Event, a delivery.Attempt) {
	took := a.FinishedAt.Sub(a.StartedAt)
	r := tried{ID: e.ID, Type: e.Type, Reason: a.Error, After: plugincheck.Millis(a.RetryAfter), Took: plugincheck.Millis(took)}
	if first, rest, more := strings.Cut(string(a.ResponseBody), "\n"); more && strings.Contains(a.Error, first) {
		r.Detail = rest // the stack of a panic
	}
	mark, words := t.palette.green("✓"), "done"
	switch a.Outcome {
	case delivery.OutcomeDone:
		r.Result = "done"
	case delivery.OutcomeFailed:
		r.Result = "dead"
		mark, words = t.palette.red("✗"), "dead"
	default:
		r.Result = "retry"
		mark, words = t.palette.yellow("✗"), "retry"
		if a.RetryAfter > 0 {
			words += " after " + a.RetryAfter.String()
		}
	}
	t.Events = append(t.Events, r)
	t.line("%s %s  %s  %s in %s", mark, typeName(e.Type), short(e.ID), words, roundDuration(took))
	if r.Reason != "" {
		t.line("  %s", r.Reason)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(r.Detail), "\n") {
		if line != "" {
			t.line("      %s", strings.ReplaceAll(line, "\t", "    "))
		}
	}
}

// conclude prints the summary.
func (t *pluginTest) conclude(c *cli.Command) error {
	if t.json {
		return show(c, t, nil)
	}
	if !t.Plugin.OK {
		printReport(t.out, t.palette, t.Plugin)
		return nil
	}
	for _, warning := range t.Plugin.Warnings {
		t.line("%s %s", t.palette.yellow("!"), warning)
	}
	if len(t.Events) > 1 {
		counts, times := map[string]int{}, []time.Duration{}
		for _, e := range t.Events {
			counts[e.Result]++
			times = append(times, time.Duration(e.Took))
		}
		slices.Sort(times)
		t.line("%d events: %d done, %d to be retried, %d dead; p50 %s, p99 %s", len(times), counts["done"], counts["retry"], counts["dead"],
			roundDuration(times[(len(times)-1)/2]), roundDuration(times[(len(times)-1)*99/100]))
	}
	if len(t.Left) > 0 {
		t.line("  it left %s in its working directory; --work DIR keeps these files", strings.Join(t.Left, ", "))
	}
	return nil
}

func (t *pluginTest) line(format string, args ...any) {
	if t.json {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// say prints the plugin's lines so far, and later ones at once. If the plugin
// cannot be loaded, the report has them.
func (t *pluginTest) say() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready = true
	for _, line := range t.early {
		fmt.Fprintln(t.out, line)
	}
}

// anEventFor returns an event type that fits one of the patterns and has a
// sample, or "".
func anEventFor(patterns []string) string {
	samples := event.Samples()
	// The most common types, before the first in the alphabet.
	for _, name := range slices.Concat([]string{"message.received", "call.initiated", "call.hangup"}, samples) {
		if delivery.Wanted(patterns, name) {
			return name
		}
	}
	return ""
}

// pluginEvent makes an event as the sidecar would have stored it.
func pluginEvent(name, file string, settings []string) (*delivery.Event, error) {
	body, contentType, err := eventBody(name, file, settings)
	if err != nil {
		return nil, err
	}
	return storedEvent(body, contentType), nil
}

// storedEvent makes an event of a body.
func storedEvent(body []byte, contentType string) *delivery.Event {
	decoded, now := webhook.Decode(contentType, body), time.Now()
	return &delivery.Event{
		DeliveryID: uuid.NewString(),
		Key:        decoded.Key(),
		ID:         decoded.ID,
		Type:       decoded.Type,
		OccurredAt: decoded.OccurredAt.Raw,
		ReceivedAt: now,
		Header:     [][2]string{{"Content-Type", contentType}, {"User-Agent", "hookswitch-plugins-test/" + version}},
		Body:       body,
		KeyLabel:   "test",
		SignedAt:   now,
	}
}

// pluginLog prints the lines of a plugin as they come, or keeps them.
type pluginLog struct {
	test  *pluginTest
	attrs []slog.Attr
}

// Enabled is true: a person who tests a plugin wants to see all its lines.
func (l *pluginLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *pluginLog) WithGroup(string) slog.Handler { return l }

func (l *pluginLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &pluginLog{test: l.test, attrs: slices.Concat(l.attrs, attrs)}
}

// logHides are attributes that add nothing when there is one plugin.
var logHides = []string{"pid", "stream", "event_id", "event_type", "attempt"}

func (l *pluginLog) Handle(_ context.Context, rec slog.Record) error {
	line := logged{Level: rec.Level.String(), Message: rec.Message, Attrs: make(map[string]any)}
	rec.Attrs(func(a slog.Attr) bool {
		line.Attrs[a.Key] = a.Value.Any()
		return true
	})
	t := l.test
	message, attrs, more := newEntry(line.Message, line.Attrs, logHides...).text()
	shown := fmt.Sprintf("    %s %s%s", line.Level, message, t.palette.faint(attrs)) + indented("        ", t.palette.faint, more)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.json:
		t.Log = append(t.Log, line)
	case t.ready:
		fmt.Fprintln(t.out, shown)
	default:
		t.early = append(t.early, shown)
	}
	return nil
}
