package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/appcheck"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/keyfile"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// appUnderTest is an app that "hookswitch doctor app" has started.
type appUnderTest struct {
	*child
	patience time.Duration // for it to listen
}

// startApp starts an app with the public half of a key in its environment. What it
// prints goes to standard error: standard output is the report's.
func startApp(ctx context.Context, c *cli.Command, command []string, key ed25519.PrivateKey) (*appUnderTest, error) {
	app, err := newChild(command, appStopTimeout)
	if err != nil {
		return nil, fmt.Errorf("doctor app: %w", err)
	}
	if app.log, err = telemetry.NewLogger(c.ErrWriter, "text", slog.LevelWarn); err != nil {
		return nil, err
	}
	app.cmd.Stdout = os.Stderr
	app.start(childEnv(config.Environ(), keyfile.PublicText(key)), func() {})
	onAbort(ctx, app.kill)
	if !app.started {
		return nil, fmt.Errorf("doctor app: %w", app.result())
	}
	return &appUnderTest{app, c.Duration("timeout")}, nil
}

// check checks the app as soon as it listens. An error says so if it has ended.
func (a *appUnderTest) check(ctx context.Context, cfg appcheck.Config) (*appcheck.Report, error) {
	deadline := time.NewTimer(a.patience)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		report, err := appcheck.Run(ctx, cfg)
		if _, unreachable := errors.AsType[*appcheck.Unreachable](err); !unreachable {
			return report, err
		}
		select {
		case <-a.done:
			return nil, &exitError{exitUnreachable, fmt.Errorf("the app has ended (%s) before it listened at %s", a.cmd.ProcessState, cfg.URL)}
		case <-deadline.C:
			return nil, &exitError{exitUnreachable, fmt.Errorf("the app does not listen at %s within %s of its start: is the address right?", cfg.URL, a.patience)}
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
