package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// operateCommands are those that work on the events of a running sidecar.
func operateCommands(stdout io.Writer) []*cli.Command {
	return []*cli.Command{eventsCommand(stdout), replayCommand(stdout), deadCommand(stdout)}
}

// command makes a command whose action has a client.
func command(name, usage, args string, flags []cli.Flag, action func(context.Context, *cli.Command, *client) error) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: args, OnUsageError: onUsageError,
		Flags: flags,
		Action: func(ctx context.Context, c *cli.Command) error {
			client, err := connect(c)
			if err != nil {
				return err
			}
			return action(ctx, c, client)
		},
	}
}

var errNothing = &exitError{exitNothing, errors.New("no event matches")}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "`FORM`: table or json"}
}

// show prints v as JSON if that is asked for, and otherwise by table.
func show(stdout io.Writer, c *cli.Command, v any, table func(io.Writer)) error {
	switch c.String("output") {
	case "json":
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "table":
		w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		table(w)
		return w.Flush()
	}
	return usageError("--output: use table or json")
}

func eventsCommand(stdout io.Writer) *cli.Command {
	limit := &cli.IntFlag{Name: "limit", Value: 50, Usage: "show `N` events at most"}
	return &cli.Command{
		Name: "events", Usage: "list, show and export events", OnUsageError: onUsageError,
		Commands: []*cli.Command{
			command("list", "list events, newest first", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{limit, outputFlag()}),
				func(ctx context.Context, c *cli.Command, api *client) error {
					return listEvents(ctx, c, api, stdout, "/events")
				}),
			command("get", "show one event with all its attempts, as JSON", "ID", nil,
				func(ctx context.Context, c *cli.Command, api *client) error {
					return copyOne(ctx, c, api, stdout, "")
				}),
			command("payload", "print the exact bytes of an event", "ID", nil,
				func(ctx context.Context, c *cli.Command, api *client) error {
					return copyOne(ctx, c, api, stdout, "/payload")
				}),
			command("types", "count events by type", "[TYPE...]", slices.Concat(filterFlags(), []cli.Flag{outputFlag()}),
				func(ctx context.Context, c *cli.Command, api *client) error { return eventTypes(ctx, c, api, stdout) }),
			command("export", "print whole events, one JSON object a line, newest first", "[ID...]", filterFlags(),
				func(ctx context.Context, c *cli.Command, api *client) error {
					f, err := readFilter(c)
					if err != nil {
						return err
					}
					return copyTo(ctx, api, stdout, "/events/export", values(f))
				}),
		},
	}
}

// typeCount is a line of "events types".
type typeCount struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
}

// eventTypes counts what a filter selects; its arguments are types.
func eventTypes(ctx context.Context, c *cli.Command, api *client, stdout io.Writer) error {
	f, err := readFilter(c)
	if err != nil {
		return err
	}
	f.Types, f.IDs, f.All = append(f.Types, f.IDs...), nil, true
	var p adminapi.Preview
	if err := api.call(ctx, http.MethodPost, "/replays", nil, adminapi.ReplayRequest{Filter: f, DryRun: true}, &p); err != nil {
		return err
	}
	if p.Events == 0 {
		return errNothing
	}
	list := make([]typeCount, 0, len(p.Types))
	for name, n := range p.Types {
		list = append(list, typeCount{name, n})
	}
	slices.SortFunc(list, func(a, b typeCount) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Type, b.Type)) })
	return show(stdout, c, list, func(w io.Writer) {
		fmt.Fprintln(w, "TYPE\tCOUNT")
		for _, t := range list {
			fmt.Fprintf(w, "%s\t%d\n", typeName(t.Type), t.Count)
		}
	})
}

// copyOne prints what the API says of the event that is the only argument.
func copyOne(ctx context.Context, c *cli.Command, api *client, stdout io.Writer, what string) error {
	if c.Args().Len() != 1 {
		return usageError("%s: give the id of one event or delivery", c.Name)
	}
	return copyTo(ctx, api, stdout, "/events/"+url.PathEscape(c.Args().First())+what, nil)
}

func copyTo(ctx context.Context, api *client, stdout io.Writer, path string, query url.Values) error {
	res, err := api.do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(stdout, res.Body); err != nil {
		return fmt.Errorf("the answer of the sidecar broke off: %w", err)
	}
	return nil
}

// listEvents pages through a list until it has enough.
func listEvents(ctx context.Context, c *cli.Command, api *client, stdout io.Writer, path string) error {
	f, err := readFilter(c)
	if err != nil {
		return err
	}
	most := c.Int("limit")
	if most < 1 {
		return usageError("--limit: give a number from 1 on")
	}
	query, events, more := values(f), []adminapi.Event{}, true
	for more && len(events) < most {
		query.Set("limit", strconv.Itoa(min(most-len(events), 200)))
		var page adminapi.EventPage
		if err := api.get(ctx, path, query, &page); err != nil {
			return err
		}
		events = append(events, page.Data...)
		query.Set("cursor", page.NextCursor)
		more = page.NextCursor != ""
	}
	if len(events) == 0 {
		return errNothing
	}
	return show(stdout, c, events, func(w io.Writer) {
		fmt.Fprintln(w, "EVENT\tTYPE\tRECEIVED\tSTATUS\tTARGET\tTRIES\tLAST RESULT")
		for _, e := range events {
			printEvent(w, e)
		}
		if more {
			fmt.Fprintf(w, "and more: --limit %d\n", 2*most)
		}
	})
}

// printEvent prints a line for each job of an event.
func printEvent(w io.Writer, e adminapi.Event) {
	id := e.ID
	if id == "" {
		id = e.DeliveryID
	}
	if len(e.Jobs) == 0 {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t–\t0\t\n", id, e.Type, clock(e.ReceivedAt), e.Status)
	}
	for _, j := range e.Jobs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", id, e.Type, clock(e.ReceivedAt), j.State, j.Target, j.Attempts, lastResult(j))
		id = ""
	}
}

func lastResult(j adminapi.Job) string {
	text := ""
	switch last := j.Last; {
	case last == nil:
	case last.Error != "":
		text = last.Error
	case last.ResponseStatus != 0:
		text = strconv.Itoa(last.ResponseStatus)
	default:
		text = last.Outcome
	}
	if len(text) > 60 {
		text = text[:57] + "..."
	}
	if j.NextAt != nil && j.Attempts > 0 {
		text += " (next " + clock(j.NextAt) + ")"
	}
	return text
}
