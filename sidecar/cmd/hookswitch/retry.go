package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

func retryCommand() *cli.Command {
	c := command("retry", "try waiting events now, instead of when their schedule says", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{
		allFlag("retry"), &cli.BoolFlag{Name: "dry-run", Usage: "only show what would happen"}, outputFlag(),
	}), retry)
	c.Description = "Only what waits is tried, and not what is under way or behind another event of its\n" +
		"entity. The schedule stays: an attempt that fails uses up one of its steps. Dead\n" +
		"letters are for \"hookswitch dead requeue\", delivered events for \"hookswitch replay\"."
	return c
}

func retry(ctx context.Context, c *cli.Command, api *client) error {
	f, err := eventFilter(ctx, c, api)
	if err != nil {
		return err
	}
	req := adminapi.RetryRequest{Filter: f, DryRun: c.Bool("dry-run")}
	if req.DryRun {
		return dryRun(ctx, c, api, "/retry", f, req, "retry")
	}
	var got adminapi.Retried
	if err := api.call(ctx, http.MethodPost, "/retry", nil, req, &got); err != nil {
		return err
	}
	if got.Retried == 0 {
		return nothing(ctx, api, f)
	}
	return show(c, got, func(w io.Writer) {
		what := "1 delivery to %[2]s is tried now\n"
		if got.Retried > 1 {
			what = "%d deliveries to %s are tried now\n"
		}
		fmt.Fprintf(w, what, got.Retried, strings.Join(got.Targets, ", "))
	})
}
