package main

import (
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
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// operateCommands are those that work on the events of a running sidecar.
func operateCommands(stdout, stderr io.Writer) []*cli.Command {
	return []*cli.Command{tailCommand(stdout, stderr), eventsCommand(stdout), replayCommand(stdout), deadCommand(stdout)}
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

func allFlag(what string) cli.Flag {
	return &cli.BoolFlag{Name: "all", Usage: what + " everything: needed if no filter is given"}
}

func replayCommand(stdout io.Writer) *cli.Command {
	flags := slices.Concat(filterFlags(), []cli.Flag{
		allFlag("replay"), outputFlag(),
		&cli.StringSliceFlag{Name: "to", Usage: "deliver to `TARGET`, also if it has not had the event; repeatable"},
		&cli.StringFlag{Name: "rate", Usage: "at most `N/s`"},
		&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be replayed"},
		&cli.BoolFlag{Name: "no-wait", Usage: "do not wait for the end; the sidecar goes on by itself"},
	})
	replay := command("replay", "deliver events again", "[ID...]", flags, func(ctx context.Context, c *cli.Command, api *client) error {
		return startReplay(ctx, c, api, stdout, "/replays")
	})
	one := func(name, usage, method string) *cli.Command {
		return command(name, usage, "ID", []cli.Flag{outputFlag()}, func(ctx context.Context, c *cli.Command, api *client) error {
			if c.Args().Len() != 1 {
				return usageError("replay %s: give the id of one replay; \"hookswitch replay list\" shows them", name)
			}
			var r adminapi.Replay
			if err := api.call(ctx, method, "/replays/"+url.PathEscape(c.Args().First()), nil, nil, &r); err != nil {
				return err
			}
			return showReplays(stdout, c, r)
		})
	}
	replay.Commands = []*cli.Command{
		command("list", "list the latest replays", "", []cli.Flag{outputFlag()}, func(ctx context.Context, c *cli.Command, api *client) error {
			var list struct{ Data []adminapi.Replay }
			if err := api.get(ctx, "/replays", nil, &list); err != nil {
				return err
			}
			return showReplays(stdout, c, list.Data...)
		}),
		one("status", "say how far a replay is", http.MethodGet),
		one("cancel", "stop a replay; what is due already is still delivered", http.MethodDelete),
	}
	return replay
}

func showReplays(stdout io.Writer, c *cli.Command, list ...adminapi.Replay) error {
	return show(stdout, c, list, func(w io.Writer) {
		fmt.Fprintln(w, "REPLAY\tSTATE\tCREATED\tSEEN\tQUEUED\tSKIPPED")
		for _, r := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%d\t%d\n", r.ID, r.State, clock(r.CreatedAt), r.Seen, r.Total, r.Queued, r.Skipped)
		}
	})
}

// replayRequest reads what is to be replayed from the flags.
func replayRequest(c *cli.Command) (adminapi.ReplayRequest, error) {
	f, err := readFilter(c)
	if err != nil {
		return adminapi.ReplayRequest{}, err
	}
	req := adminapi.ReplayRequest{Filter: f, DryRun: c.Bool("dry-run"), To: c.StringSlice("to")}
	if text := c.String("rate"); text != "" {
		if req.Rate, err = adminapi.ParseRate(text); err != nil {
			return req, usageError("%w", err)
		}
	}
	return req, nil
}

// startReplay orders a replay, and waits for its end.
func startReplay(ctx context.Context, c *cli.Command, api *client, stdout io.Writer, path string) error {
	req, err := replayRequest(c)
	if err != nil {
		return err
	}
	if req.DryRun {
		return dryRun(ctx, c, api, stdout, path, req, "replay")
	}
	var r adminapi.Replay
	if err := api.call(ctx, http.MethodPost, path, nil, req, &r); err != nil {
		return err
	}
	if r.Total == 0 {
		return errNothing
	}
	for shown := -1; r.State == "running" && !c.Bool("no-wait"); {
		if c.String("output") == "table" && r.Seen != shown {
			fmt.Fprintf(stdout, "replay %s: %d of %d events\n", r.ID, r.Seen, r.Total)
			shown = r.Seen
		}
		select {
		case <-ctx.Done():
			return &exitError{exitInterrupted, fmt.Errorf("the sidecar goes on with replay %s: \"hookswitch replay cancel %s\" stops it", r.ID, r.ID)}
		case <-time.After(time.Second / 2):
		}
		if err := api.get(ctx, "/replays/"+r.ID, nil, &r); err != nil {
			return err
		}
	}
	return showReplays(stdout, c, r)
}

// dryRun says what a request would do.
func dryRun(ctx context.Context, c *cli.Command, api *client, stdout io.Writer, path string, req any, verb string) error {
	var p adminapi.Preview
	if err := api.call(ctx, http.MethodPost, path, nil, req, &p); err != nil {
		return err
	}
	if p.Events == 0 {
		return errNothing
	}
	return show(stdout, c, p, func(w io.Writer) {
		to := ""
		if len(p.Targets) > 0 {
			to = " → " + strings.Join(p.Targets, ", ")
		}
		fmt.Fprintf(w, "would %s %d events%s\n", verb, p.Events, to)
		types := make([]string, 0, len(p.Types))
		for name, n := range p.Types {
			types = append(types, fmt.Sprintf("%s %d", name, n))
		}
		slices.Sort(types)
		fmt.Fprintf(w, "  %s · oldest %s · newest %s\n", strings.Join(types, " · "), clock(p.Oldest), clock(p.Newest))
	})
}

func deadCommand(stdout io.Writer) *cli.Command {
	limit := &cli.IntFlag{Name: "limit", Value: 50, Usage: "show `N` events at most"}
	dry := &cli.BoolFlag{Name: "dry-run", Usage: "only say what would happen"}
	return &cli.Command{
		Name: "dead", Usage: "list dead letters, try them again or discard them", OnUsageError: onUsageError,
		Commands: []*cli.Command{
			command("list", "list events with a dead letter", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{limit, outputFlag()}),
				func(ctx context.Context, c *cli.Command, api *client) error {
					return listEvents(ctx, c, api, stdout, "/dead-letters")
				}),
			command("groups", "count dead letters that look alike", "", slices.Concat(filterFlags(), []cli.Flag{outputFlag()}),
				func(ctx context.Context, c *cli.Command, api *client) error { return deadGroups(ctx, c, api, stdout) }),
			command("requeue", "try dead letters again", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{
				allFlag("requeue"), dry, outputFlag(),
				&cli.StringFlag{Name: "rate", Usage: "at most `N/s`"},
				&cli.BoolFlag{Name: "no-wait", Usage: "do not wait for the end"},
			}), func(ctx context.Context, c *cli.Command, api *client) error {
				return startReplay(ctx, c, api, stdout, "/dead-letters/requeue")
			}),
			command("discard", "give dead letters up; a replay can bring them back", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{
				allFlag("discard"), dry, outputFlag(),
			}), func(ctx context.Context, c *cli.Command, api *client) error { return discard(ctx, c, api, stdout) }),
		},
	}
}

func deadGroups(ctx context.Context, c *cli.Command, api *client, stdout io.Writer) error {
	f, err := readFilter(c)
	if err != nil {
		return err
	}
	var list struct{ Data []adminapi.DeadGroup }
	if err := api.get(ctx, "/dead-letters/groups", values(f), &list); err != nil {
		return err
	}
	if len(list.Data) == 0 {
		return errNothing
	}
	return show(stdout, c, list.Data, func(w io.Writer) {
		fmt.Fprintln(w, "COUNT\tTARGET\tTYPE\tOLDEST\tNEWEST\tERROR")
		for _, g := range list.Data {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", g.Count, g.Target, g.EventType, clock(g.Oldest), clock(g.Newest), g.Error)
		}
	})
}

func discard(ctx context.Context, c *cli.Command, api *client, stdout io.Writer) error {
	f, err := readFilter(c)
	if err != nil {
		return err
	}
	req := adminapi.DiscardRequest{Filter: f, DryRun: c.Bool("dry-run")}
	if req.DryRun {
		return dryRun(ctx, c, api, stdout, "/dead-letters/discard", req, "discard")
	}
	var got struct {
		Discarded int `json:"discarded"`
	}
	if err := api.call(ctx, http.MethodPost, "/dead-letters/discard", nil, req, &got); err != nil {
		return err
	}
	if got.Discarded == 0 {
		return errNothing
	}
	return show(stdout, c, got, func(w io.Writer) { fmt.Fprintf(w, "discarded %d dead letters\n", got.Discarded) })
}
