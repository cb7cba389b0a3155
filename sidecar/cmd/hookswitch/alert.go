package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

func alertCommand() *cli.Command {
	test := command("test", "send a test alert and say what came back", "", []cli.Flag{outputFlag()}, testAlert)
	test.Description = "The running sidecar sends it, to HOOKSWITCH_ALERT_URL and in the form of\n" +
		"HOOKSWITCH_ALERT_FORMAT, once. Exits with 1 if it was not taken."
	return &cli.Command{Name: "alert", Usage: "try out alerts", Commands: []*cli.Command{test}}
}

func testAlert(ctx context.Context, c *cli.Command, api *client) error {
	var r adminapi.AlertTest
	if err := api.call(ctx, http.MethodPost, "/alerts/test", nil, nil, &r); err != nil {
		return err
	}
	p := newPalette(c)
	err := show(c, r, func(w io.Writer) {
		took := roundDuration(time.Duration(r.TookSeconds * float64(time.Second)))
		if r.OK {
			fmt.Fprintf(w, "%s the receiver took a test alert (%s): it answered %d in %s: %s\n", p.green("✓"), r.Format, r.Status, took, cmp.Or(oneLine(r.Answer), "without a text"))
			return
		}
		fmt.Fprintln(w, fold(screenWidth, "  ", piece{p.red("✗") + " ", nil, true}, piece{text: fmt.Sprintf("a test alert (%s) was not taken: %s", r.Format, r.Error)}))
	})
	if err == nil && !r.OK {
		return errSaid
	}
	return err
}
