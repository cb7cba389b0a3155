package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

func allFlag(what string) cli.Flag {
	return &cli.BoolFlag{Name: "all", Usage: what + " everything: needed if no filter is given"}
}

// local makes flags those of one command: they are not flags of its commands, too,
// which would ignore them.
func local(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Local = true
		case *cli.StringSliceFlag:
			f.Local = true
		case *cli.BoolFlag:
			f.Local = true
		}
	}
	return flags
}

func replayCommand() *cli.Command {
	flags := slices.Concat(filterFlags(), []cli.Flag{
		allFlag("replay"), outputFlag(),
		&cli.StringSliceFlag{Name: "to", Usage: "deliver to `TARGET`, even if it has not had the event; repeatable"},
		&cli.StringFlag{Name: "rate", Usage: "at most `N/s`"},
		&cli.BoolFlag{Name: "dry-run", Usage: "only show what would be replayed"},
		&cli.BoolFlag{Name: "no-wait", Usage: "do not wait for the end; the sidecar continues by itself"},
	})
	replay := command("replay", "deliver events again", "[ID...]", local(flags), startReplay("/replays"))
	one := func(name, usage, method string) *cli.Command {
		return command(name, usage, "ID", []cli.Flag{outputFlag()}, func(ctx context.Context, c *cli.Command, api *client) error {
			if c.Args().Len() != 1 {
				return usageError("replay %s: give the id of one replay; \"hookswitch replay list\" shows them", name)
			}
			id, err := wholeReplay(ctx, api, c.Args().First())
			if err != nil {
				return err
			}
			var r adminapi.Replay
			if err := api.call(ctx, method, "/replays/"+url.PathEscape(id), nil, nil, &r); err != nil {
				return err
			}
			return showReplays(c, r)
		})
	}
	replay.Commands = []*cli.Command{
		command("list", "list the latest replays", "", []cli.Flag{outputFlag()}, func(ctx context.Context, c *cli.Command, api *client) error {
			var list struct{ Data []adminapi.Replay }
			if err := api.get(ctx, "/replays", nil, &list); err != nil {
				return err
			}
			return showReplays(c, list.Data...)
		}),
		one("status", "show the progress of a replay", http.MethodGet),
		one("cancel", "stop a replay; events already due are still delivered", http.MethodDelete),
	}
	return replay
}

func showReplays(c *cli.Command, list ...adminapi.Replay) error {
	ids := make([]string, len(list))
	for i, r := range list {
		ids[i] = r.ID
	}
	// The beginning of these ids is the time: twelve characters are milliseconds.
	n := max(shortIDs(ids), len("01a2132d-1236"))
	table := rows{{"REPLAY", "STATE", "CREATED", "SEEN", "QUEUED", "SKIPPED", ""}}
	for _, r := range list {
		table = append(table, []string{
			r.ID[:min(n, len(r.ID))], r.State, clock(r.CreatedAt), fmt.Sprintf("%d/%d", r.Seen, r.Total),
			strconv.Itoa(r.Queued), strconv.Itoa(r.Skipped), "",
		})
	}
	return show(c, list, table.print)
}

// startReplay creates a replay, and waits for its end.
func startReplay(path string) action {
	return func(ctx context.Context, c *cli.Command, api *client) error {
		f, err := eventFilter(ctx, c, api)
		if err != nil {
			return err
		}
		req := adminapi.ReplayRequest{Filter: f, DryRun: c.Bool("dry-run"), To: c.StringSlice("to")}
		for _, to := range req.To {
			if err := checkTarget("to", to); err != nil {
				return err
			}
		}
		if req.Rate, err = rate(c); err != nil {
			return err
		}
		if req.DryRun {
			return dryRun(ctx, c, api, path, f, req, "replay")
		}
		var r adminapi.Replay
		if err := api.call(ctx, http.MethodPost, path, nil, req, &r); err != nil {
			return err
		}
		if r.Total == 0 {
			return nothing(ctx, api, f)
		}
		p := newProgress(c.ErrWriter, "replay "+r.ID+": queued", r.Total)
		defer p.end()
		for r.State == "running" && !c.Bool("no-wait") {
			p.at(r.Seen)
			select {
			case <-ctx.Done():
				return &exitError{exitInterrupted, fmt.Errorf("the sidecar continues replay %s: \"hookswitch replay cancel %s\" stops it", r.ID, r.ID)}
			case <-time.After(time.Second / 2):
			}
			if err := api.get(ctx, "/replays/"+r.ID, nil, &r); err != nil && ctx.Err() == nil {
				return err
			}
		}
		p.end()
		return showReplays(c, r)
	}
}

// rate reads --rate: 0 if it is not given.
func rate(c *cli.Command) (adminapi.Rate, error) {
	text := c.String("rate")
	if text == "" {
		return 0, nil
	}
	r, err := adminapi.ParseRate(text)
	switch {
	case err != nil:
		return 0, usageError("--%w", err)
	case r == 0:
		return 0, usageError("--rate: give a rate above 0, or leave it out for no limit")
	}
	return r, nil
}

// dryRun shows what a request would do.
func dryRun(ctx context.Context, c *cli.Command, api *client, path string, f adminapi.Filter, req any, verb string) error {
	var p adminapi.Preview
	if err := api.call(ctx, http.MethodPost, path, nil, req, &p); err != nil {
		return err
	}
	if p.Events == 0 {
		return nothing(ctx, api, f)
	}
	return show(c, p, func(w io.Writer) {
		to := ""
		if len(p.Targets) > 0 {
			to = " → " + strings.Join(p.Targets, ", ")
		}
		fmt.Fprintf(w, "would %s %d events%s\n", verb, p.Events, to)
		var types []string
		for _, name := range slices.Sorted(maps.Keys(p.Types)) {
			types = append(types, fmt.Sprintf("%s %d", oneLine(name), p.Types[name]))
		}
		fmt.Fprintf(w, "  %s · oldest %s · newest %s\n", strings.Join(types, " · "), clock(p.Oldest), clock(p.Newest))
	})
}
