package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

func deadCommand() *cli.Command {
	limit := &cli.IntFlag{Name: "limit", Value: 50, Usage: "show at most `N` events"}
	dry := &cli.BoolFlag{Name: "dry-run", Usage: "only show what would happen"}
	return &cli.Command{
		Name: "dead", Usage: "list dead letters, try them again or discard them",
		Commands: []*cli.Command{
			command("list", "list events with a dead letter", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{limit, outputFlag()}), listEvents("/dead-letters")),
			command("groups", "count dead letters that look alike", "", slices.Concat(filterFlags(), []cli.Flag{outputFlag()}), deadGroups),
			command("requeue", "try dead letters again", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{
				allFlag("requeue"), dry, outputFlag(),
				&cli.StringFlag{Name: "rate", Usage: "at most `N/s`"},
				&cli.BoolFlag{Name: "no-wait", Usage: "do not wait for the end"},
			}), startReplay("/dead-letters/requeue")),
			command("discard", "give up dead letters; a replay can bring them back", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{
				allFlag("discard"), dry, outputFlag(),
			}), discard),
		},
	}
}

func deadGroups(ctx context.Context, c *cli.Command, api *client) error {
	f, err := eventFilter(ctx, c, api)
	if err != nil {
		return err
	}
	var list struct{ Data []adminapi.DeadGroup }
	if err := api.get(ctx, "/dead-letters/groups", values(f), &list); err != nil {
		return err
	}
	if len(list.Data) == 0 {
		return nothing(ctx, api, f)
	}
	table := rows{{"COUNT", "TARGET", "TYPE", "OLDEST", "NEWEST", "ERROR"}}
	for _, g := range list.Data {
		table = append(table, []string{strconv.Itoa(g.Count), g.Target, typeName(g.EventType), clock(g.Oldest), clock(g.Newest), g.Error})
	}
	return show(c, list.Data, table.print)
}

func discard(ctx context.Context, c *cli.Command, api *client) error {
	f, err := eventFilter(ctx, c, api)
	if err != nil {
		return err
	}
	req := adminapi.DiscardRequest{Filter: f, DryRun: c.Bool("dry-run")}
	if req.DryRun {
		return dryRun(ctx, c, api, "/dead-letters/discard", f, req, "discard")
	}
	var got struct {
		Discarded int `json:"discarded"`
	}
	if err := api.call(ctx, http.MethodPost, "/dead-letters/discard", nil, req, &got); err != nil {
		return err
	}
	if got.Discarded == 0 {
		return nothing(ctx, api, f)
	}
	return show(c, got, func(w io.Writer) { fmt.Fprintf(w, "discarded %d dead letters\n", got.Discarded) })
}
