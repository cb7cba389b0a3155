package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

func tailCommand() *cli.Command {
	flags := slices.DeleteFunc(filterFlags(), func(f cli.Flag) bool {
		return slices.Contains([]string{"since", "until", "text", "status"}, f.Names()[0])
	})
	flags = append(flags,
		&cli.StringFlag{Name: "status", Usage: "only `STATUS`: accepted, duplicate, rejected, pending, retrying, failed, done, dead or unhandled"},
		&cli.StringFlag{Name: "since", Usage: "begin with events since `TIME`, such as 10m, as far as the sidecar remembers"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "pretty", Usage: "`FORM`: pretty, compact or json"},
	)
	return &cli.Command{
		Name: "tail", Usage: "watch events live", ArgsUsage: "[ID...]",
		Description: "Shows every event, rejected request and attempt of a running sidecar until\n" +
			"Ctrl-C. It never slows the sidecar down: when it cannot keep up it shows how\n" +
			"much it has lost. If the connection breaks it reconnects.\n\n" +
			"On a terminal, keys retry, open, copy and filter; ? lists them.\n\n" +
			"Examples:\n" +
			"  hookswitch tail --type 'call.*' --status failed\n" +
			"  hookswitch tail -o json | jq .type\n" +
			"  hookswitch tail --addr http://10.0.0.5:9080 --token-file token",
		Flags: flags,
		Action: func(ctx context.Context, c *cli.Command) error {
			form, err := outputForm(c, "pretty", "compact", "json")
			if err != nil {
				return err
			}
			f, err := readFilter(c)
			if err == nil {
				err = inFlags(c, f.CheckLive())
			}
			if err != nil {
				return err
			}
			for _, t := range f.Types { // it may still be right: Telnyx adds event types
				if hint := spelling.EventType(t); hint != "" {
					fmt.Fprintf(c.ErrWriter, "hookswitch: waiting for %s\n", hint)
				}
			}
			return inFlags(c, newTail(c, values(f), form).watch(ctx))
		},
	}
}

// tail follows the stream of a sidecar, over interruptions.
type tail struct {
	connect  func() (*client, error)
	query    url.Values
	screen   *console
	show     func(live.Message) error // by which a message is shown: on screen, if there is one
	notes    io.Writer
	position string // of the latest message; empty before the first
}

func newTail(c *cli.Command, query url.Values, form string) *tail {
	screen := &console{out: c.Writer, palette: newPalette(c), form: form}
	return &tail{
		connect: func() (*client, error) { return connect(c) }, query: query, notes: c.ErrWriter,
		screen: screen, show: screen.print,
	}
}

// watch is run with keys, if there is somebody who can press them.
func (t *tail) watch(ctx context.Context) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	keys := &liveKeys{screen: t.screen, connect: t.connect, quit: quit}
	defer keys.watch(ctx)()
	return t.run(ctx)
}

// retryTail is how long it waits before it connects again.
const retryTail = time.Second

// run follows until ctx ends, which is not an error. Without a first connection
// it gives up at once: waiting would not help.
func (t *tail) run(ctx context.Context) error {
	for connected, lost := false, false; ; {
		err := t.follow(ctx, func(where string) {
			switch {
			case lost:
				fmt.Fprintf(t.notes, "hookswitch: connected again to %s\n", where)
			case !connected:
				fmt.Fprintf(t.notes, "hookswitch: watching %s; Ctrl-C ends it\n", where)
			}
			connected, lost = true, false
		})
		var broken *brokenOff
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &broken) && broken.output:
			return broken.err
		case !connected || !retryable(err):
			return err
		}
		if !lost {
			fmt.Fprintf(t.notes, "hookswitch: %v; connecting again\n", err)
			lost = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryTail):
		}
	}
}

// retryable reports whether a retry may help: the sidecar is not there, or busy.
func retryable(err error) bool {
	if ee, ok := errors.AsType[*exitError](err); ok {
		return ee.code == exitUnreachable
	}
	p, ok := errors.AsType[*adminapi.Problem](err)
	return !ok || p.Status >= 500
}

// brokenOff is the end of a stream that had begun.
type brokenOff struct {
	err    error
	output bool // our own output is the cause
}

func (e *brokenOff) Error() string { return e.err.Error() }

// follow reads one connection to its end, which is always an error.
func (t *tail) follow(ctx context.Context, connected func(string)) error {
	api, err := t.connect()
	if err != nil {
		return err
	}
	query := t.query
	header := make(http.Header)
	if t.position != "" {
		query = url.Values{}
		for name, list := range t.query {
			if name != "since" {
				query[name] = list
			}
		}
		header.Set("Last-Event-ID", t.position)
	}
	res, err := api.send(ctx, http.MethodGet, "/stream", query, nil, header)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	connected(api.name)
	// A server that is silent for three heartbeats has gone.
	silence := time.AfterFunc(silent, func() { _ = res.Body.Close() })
	defer silence.Stop()
	return t.read(res.Body, func() { silence.Reset(silent) })
}

const silent = 45 * time.Second

// read shows the messages of a stream of server-sent events.
func (t *tail) read(body io.Reader, alive func()) error {
	lines := bufio.NewReader(body)
	stopping := false
	for {
		line, err := lines.ReadString('\n')
		switch {
		case err != nil && stopping:
			return &brokenOff{err: errors.New("the sidecar has stopped")}
		case err != nil:
			return &brokenOff{err: fmt.Errorf("the connection has ended (%w)", err)}
		}
		alive()
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		switch name {
		case "id":
			t.position = value
		case "data":
			var m live.Message
			if err := json.Unmarshal([]byte(value), &m); err != nil {
				return fmt.Errorf("the stream cannot be read: %w", err)
			}
			if stopping = m.Kind == live.Stopping; stopping {
				continue
			}
			if err := t.show(m); err != nil {
				return &brokenOff{err: err, output: true}
			}
		}
	}
}
