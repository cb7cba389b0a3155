package main

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run the sidecar, configured by environment variables",
		ArgsUsage: "[-- CMD...]",
		Description: "TELNYX_PUBLIC_KEY is required. The others have defaults; \"hookswitch config\n" +
			"docs\" lists them. Stops cleanly on SIGTERM and SIGINT; exits 78 if the\n" +
			"configuration is bad.\n\n" +
			"CMD is the app: it is started when the sidecar is ready, with the key that it\n" +
			"verifies with in TELNYX_PUBLIC_KEY (unless requests are not re-signed) and\n" +
			"without the variables HOOKSWITCH_*. When the sidecar is told to stop, the app\n" +
			"stays up until attempts under way end, and then gets SIGTERM. SIGUSR1\n" +
			"and SIGUSR2 are passed on. If the app ends, so does the sidecar, with its\n" +
			"exit code. What the app has started is stopped with it, or by the next start\n" +
			"if the sidecar is killed.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "app-stop-timeout", Value: appStopTimeout, Usage: "kill the app, and what it has started, if it has not ended within `TIME` of SIGTERM"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			output := neverWait(c.ErrWriter, "standard error")
			var app *child
			if c.Args().Present() {
				var err error
				if app, err = newChild(c.Args().Slice(), c.Duration("app-stop-timeout")); err != nil {
					return fmt.Errorf("run: %w", err)
				}
			}
			load := func() (config.Config, error) {
				cfg, _ := loadConfig(c) // what is wrong is said by Validate, with all the rest
				return cfg, cfg.Validate()
			}
			cfg, err := load()
			if err != nil {
				return err
			}
			level := new(slog.LevelVar)
			level.Set(cfg.LogLevel)
			format := logFormat(cfg, c.ErrWriter)
			log, err := telemetry.NewLogger(c.ErrWriter, format, level)
			if err != nil {
				return err
			}
			output.LogAs(format)
			takeLogs(log)
			for _, text := range cfg.Advice() {
				log.Warn("configuration: "+text, "code", telemetry.CodeConfigWarning)
			}
			hangup := make(chan os.Signal, 1) // caught from here on: it must not end a start
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			opts := sidecar.Options{Version: version, Log: log, Outputs: []*telemetry.LogWriter{output}, Load: load, Level: level}
			if app != nil {
				opts.StopLimit, opts.Ready = app.limit, func() { app.begin() }
			}
			s, err := sidecar.New(ctx, cfg, opts)
			if err != nil {
				return err
			}
			swept := make(chan struct{})
			go func() {
				defer close(swept)
				endLeftover(s.Dir(), c.Duration("app-stop-timeout"), log)
			}()
			go reloadOn(ctx, hangup, s)
			if key := s.ForwardKey(); key != "" {
				log.Info("the app verifies forwarded requests with this key", "forwards", cfg.Forwards(), "TELNYX_PUBLIC_KEY", key)
			}
			if app != nil {
				return app.runWith(ctx, cfg, s, log, swept)
			}
			return s.Run(ctx)
		},
	}
}

// logFormat returns text for a terminal and json for anything else, unless
// the configuration says which.
func logFormat(cfg config.Config, w io.Writer) string {
	if cfg.LogFormat != "auto" {
		return cfg.LogFormat
	}
	if isTerminal(w) {
		return "text"
	}
	return "json"
}

// neverWait makes an output fit for a sidecar: it waits for no reader, and
// continues when the reader goes away. It returns the writer that counts losses.
func neverWait(w io.Writer, name string) *telemetry.LogWriter {
	// With the signal caught, a write to a broken pipe is only an error. If it
	// were ignored it would stay ignored in plugins and in the app.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return newOutlet(w).detach(name)
}

// takeLogs logs the lines that libraries would print to standard error: net/http
// reports there what an app has sent unasked.
func takeLogs(log *slog.Logger) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelInfo).Writer())
	pluginhost.TakeLogs(log)
}

// reloadOn reloads the configuration for each signal, until ctx ends. The result
// is in the log.
func reloadOn(ctx context.Context, signals <-chan os.Signal, s *sidecar.Sidecar) {
	for {
		select {
		case <-signals:
			_ = s.Reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}
