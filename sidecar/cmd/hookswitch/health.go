package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

func healthCommand() *cli.Command {
	return &cli.Command{
		Name: "health", Usage: "exit 0 if the sidecar is ready, and 1 if not",
		Description: "For health checks in images without a shell. It asks the same sidecar as other\n" +
			"commands do, and prints nothing unless something is wrong.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "live", Usage: "ask whether it is alive (/livez) instead of ready (/readyz)"},
			&cli.StringFlag{Name: "url", Usage: "ask this `URL`, such as http://127.0.0.1:8080/readyz"},
			&cli.DurationFlag{Name: "timeout", Value: 3 * time.Second, Usage: "fail without an answer within `TIME`"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := checkTimeout(c); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
			defer cancel()
			return health(ctx, c)
		},
	}
}

// health asks over the socket unless told otherwise: that does not depend on the
// ports. Its only exit code for an unhealthy sidecar is 1, as health checks
// expect.
func health(ctx context.Context, c *cli.Command) error {
	target, httpClient := c.String("url"), new(http.Client)
	if target != "" {
		if err := checkURL("url", target, "http://127.0.0.1:8080/readyz"); err != nil {
			return err
		}
	} else {
		client, err := connect(c)
		if ee, ok := errors.AsType[*exitError](err); ok && ee.code == exitUnreachable {
			_, dir, _ := dataDir(c) // connect has read it without an error
			return fmt.Errorf("not running on %s", dir)
		}
		if err != nil {
			return err
		}
		httpClient = client.http
		if target = client.base + "/readyz"; c.Bool("live") {
			target = client.base + "/livez"
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return usageError("--url: %w", err)
	}
	res, err := httpClient.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", c.Duration("timeout"))
	}
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500)) // only shown
		return fmt.Errorf("%s: %s", res.Status, oneLine(strings.TrimSpace(string(text))))
	}
	return nil
}
