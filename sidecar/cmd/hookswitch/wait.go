package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

func waitCommand() *cli.Command {
	return &cli.Command{
		Name: "wait", Usage: "wait until an event is stored, for tests and scripts", ArgsUsage: "[TYPE...]",
		Description: "Prints the event and exits 0, or says after --timeout what came instead and\n" +
			"exits 1. Without --since it waits for an event that is stored after it has\n" +
			"started. With --since it also takes in what has come since then, so that a\n" +
			"script can first do what causes the event. If several are there already, it\n" +
			"prints the first; --since with that event's id waits for the next.\n\n" +
			"The path of --match has dots, as that of \"trigger --set\". It begins in the\n" +
			"payload, in \"data\" or in the body: call_control_id=…, payload.to.0.status=…,\n" +
			"data.id=…. In a form it is the name of a field. Numbers, true, false and null\n" +
			"are compared as they are written in the body.\n\n" +
			"A sidecar that restarts meanwhile is waited for, and nothing is missed.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "type", Usage: "event `TYPES`: exact, message.* or *, separated by commas", DefaultText: "*"},
			&cli.StringSliceFlag{Name: "match", Usage: "a field of the body: `PATH=VALUE`, repeatable"},
			&cli.StringFlag{Name: "since", Usage: "received since `TIME`, such as 10m ago, or after the event with this id", DefaultText: "the start"},
			&cli.DurationFlag{Name: "timeout", Value: 30 * time.Second, Usage: "give up after `TIME`; 0: never"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORM`: text (id, type and time) or json (as \"events get\")"},
		},
		// Values may contain commas.
		DisableSliceFlagSeparator: true,
		Action: func(ctx context.Context, c *cli.Command) error {
			w, err := newWaiter(c)
			if err != nil {
				return err
			}
			return inFlags(c, w.run(ctx, c.Writer))
		},
	}
}

// newWaiter reads the command line, as far as no sidecar is needed for that.
func newWaiter(c *cli.Command) (*waiter, error) {
	var one sync.Mutex // the stream and the lists have a connection each
	w := &waiter{
		connect: func() (*client, error) {
			one.Lock()
			defer one.Unlock()
			return connect(c)
		},
		types: c.Args().Slice(), since: c.String("since"), timeout: c.Duration("timeout"),
		notes: io.Discard, seen: make(map[string]sighting),
	}
	if c.IsSet("type") {
		w.types = append(w.types, strings.Split(c.String("type"), ",")...)
	}
	if len(w.types) == 0 {
		w.types = []string{"*"}
	}
	if isTerminal(c.ErrWriter) {
		w.notes = c.ErrWriter
	}
	form, err := outputForm(c, "text", "json")
	if err != nil {
		return nil, err
	}
	w.whole = form == "json"
	if w.timeout < 0 {
		return nil, usageError("--timeout: give a time such as %s, or 0 for no limit", 30*time.Second)
	}
	if w.matches, err = parseMatches(c.StringSlice("match")); err != nil {
		return nil, err
	}
	if err := (adminapi.Filter{Types: w.types}).CheckLive(); err != nil {
		if c.IsSet("type") {
			return nil, inFlags(c, err)
		}
		return nil, usageError("wait: %w", err)
	}
	for _, t := range w.types { // it may still be right: Telnyx adds event types
		if hint := spelling.EventType(t); hint != "" {
			fmt.Fprintf(c.ErrWriter, "hookswitch: waiting for %s\n", hint)
		}
	}
	return w, nil
}

// run waits, and prints the event.
func (w *waiter) run(ctx context.Context, out io.Writer) error {
	limited, cancel := ctx, func() {}
	if w.timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, w.timeout)
	}
	defer cancel()
	hit, err := w.wait(limited)
	if hit == nil && err == nil && ctx.Err() == nil {
		hit, err = w.last(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return err
	case w.whole:
		_, err = out.Write(hit.whole)
	default:
		_, err = fmt.Fprintf(out, "%s %s %s\n", hit.id(), typeName(hit.kind), hit.received.UTC().Format("2006-01-02T15:04:05.000000Z"))
	}
	return err
}

// id returns the event's id as one word that other commands take.
func (e *arrival) id() string {
	if e.event == "" || strings.ContainsFunc(e.event, func(r rune) bool { return unicode.IsSpace(r) || risky(r) }) {
		return e.delivery
	}
	return e.event
}
