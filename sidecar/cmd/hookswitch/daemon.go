package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

func runCommand(stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run the sidecar, configured by environment variables",
		ArgsUsage: "[-- CMD...]",
		Description: "TELNYX_PUBLIC_KEY is required. The others have defaults; \"hookswitch config\n" +
			"docs\" lists them. Stops cleanly on SIGTERM and SIGINT; exits 78 if the\n" +
			"configuration is bad.\n\n" +
			"CMD is the app: it is started when the sidecar is ready, with the key that it\n" +
			"verifies with in TELNYX_PUBLIC_KEY (unless requests are not signed anew) and\n" +
			"without the variables HOOKSWITCH_*. When the sidecar is told to stop, the app\n" +
			"stays up until what is under way is delivered, and then gets SIGTERM. SIGUSR1\n" +
			"and SIGUSR2 are passed on. If the app ends, so does the sidecar, with its\n" +
			"exit code. What the app has started is stopped with it, or by the next start\n" +
			"if the sidecar is killed.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "app-stop-timeout", Value: appStopTimeout, Usage: "kill the app, and what it has started, if they have not ended so long (`TIME`) after SIGTERM"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			output := neverWait(stderr, "standard error")
			var app *child
			if c.Args().Present() {
				var err error
				if app, err = newChild(c); err != nil {
					return err
				}
			}
			load := func() (sidecar.Config, error) {
				cfg, _ := loadConfig(c) // what is wrong is said by Validate, with all the rest
				return cfg, cfg.Validate()
			}
			cfg, err := load()
			if err != nil {
				return err
			}
			level := new(slog.LevelVar)
			level.Set(cfg.LogLevel)
			format := logFormat(cfg, stderr)
			log, err := sidecar.NewLogger(stderr, format, level)
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
			s, err := sidecar.New(ctx, cfg, sidecar.Options{Version: version, Log: log, Outputs: []*telemetry.LogWriter{output}, Load: load, Level: level, StopLimit: app.stopLimit()})
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

func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return usageError("%s takes no argument %q", c.FullName(), c.Args().First())
	}
	return nil
}

// logFormat returns text for a terminal and json for anything else, unless
// the configuration says which.
func logFormat(cfg sidecar.Config, w io.Writer) string {
	if cfg.LogFormat != "auto" {
		return cfg.LogFormat
	}
	if isTerminal(w) {
		return "text"
	}
	return "json"
}

func devCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "dev",
		Usage: "run a sidecar for development; needs no configuration",
		Description: "Accepts events signed with a development key, which it makes and keeps, so that\n" +
			"\"hookswitch trigger\" works at once. Real Telnyx events are accepted too if\n" +
			"TELNYX_PUBLIC_KEY is set. The variables of \"hookswitch run\" apply.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "forward-to", Usage: "POST every event to this `URL`", DefaultText: "HOOKSWITCH_FORWARD_TO"},
			&cli.StringFlag{Name: "plugins", Usage: "start the plugins in `DIR`", DefaultText: "HOOKSWITCH_PLUGIN_DIR or plugins"},
			&cli.StringFlag{Name: "listen", Usage: "receive webhooks on `ADDRESS`", DefaultText: "HOOKSWITCH_LISTEN or :8080"},
			&cli.StringFlag{Name: "admin-listen", Usage: "serve the delivery records on `ADDRESS`", DefaultText: "HOOKSWITCH_ADMIN_LISTEN or 127.0.0.1:9080"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return dev(ctx, c, stdout, stderr)
		},
	}
}

// devConfig reads the configuration, with the flags of dev in it.
func devConfig(c *cli.Command) sidecar.Config {
	cfg, _ := loadConfig(c) // what is wrong is said by ValidateDev, with all the rest
	for flag, setting := range map[string]struct {
		variable string
		value    *string
	}{
		"forward-to":   {"HOOKSWITCH_FORWARD_TO", &cfg.ForwardTo},
		"plugins":      {"HOOKSWITCH_PLUGIN_DIR", &cfg.PluginDir},
		"listen":       {"HOOKSWITCH_LISTEN", &cfg.Listen},
		"admin-listen": {"HOOKSWITCH_ADMIN_LISTEN", &cfg.AdminListen},
	} {
		if c.IsSet(flag) {
			*setting.value = c.String(flag)
			cfg.Flag(setting.variable, "--"+flag)
		}
	}
	return cfg
}

func dev(ctx context.Context, c *cli.Command, stdout, stderr io.Writer) error {
	load := func() (sidecar.Config, error) {
		cfg := devConfig(c)
		return cfg, cfg.ValidateDev()
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	if here, ok := running(ctx, cfg); ok {
		return attach(ctx, c, here, stdout, stderr)
	}
	printed := neverWait(stdout, "standard output")
	output := neverWait(stderr, "standard error")
	// The end of its terminal ends it, too, but not before what is under way.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	for _, text := range cfg.Advice() {
		fmt.Fprintf(stderr, "hookswitch: warning: %s\n", text)
	}
	// The screen belongs to the events; of the log it shows what goes wrong,
	// and what plugins have to say.
	log, err := sidecar.NewLogger(stderr, "text", max(cfg.LogLevel, slog.LevelWarn))
	if err != nil {
		return err
	}
	log = slog.New(offScreen{log.Handler()})
	output.LogAs("text")
	takeLogs(log)
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	plugins, err := sidecar.NewLogger(stderr, "text", level)
	if err != nil {
		return err
	}
	s, err := sidecar.New(ctx, cfg, sidecar.Options{
		Version: version, Log: log, Outputs: []*telemetry.LogWriter{output, printed}, Plugins: plugins, Dev: true, Load: load, Level: level,
	})
	if err != nil {
		return err
	}
	go endLeftover(s.Dir(), appStopTimeout, log)
	printBanner(stdout, s, cfg, c.Root().Name)
	screen := &console{out: stdout, palette: newPalette(c, stdout), form: "pretty", retries: len(cfg.RetrySchedule)}
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		screen.follow(s.Live().Watch())
	}()
	err = s.Run(ctx)
	select {
	case <-shown:
	case <-time.After(time.Second): // a terminal that takes nothing holds up nobody
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "\nstopped; what was not delivered is kept for the next start")
	return nil
}

// printBanner says where everything is and what to do next.
func printBanner(w io.Writer, s *sidecar.Sidecar, cfg sidecar.Config, program string) {
	here := s.Addresses()
	if len(os.Args) > 0 {
		program = os.Args[0] // as it was typed, so that it can be typed again
	}
	fmt.Fprintf(w, "hookswitch %s · dev mode · data in %s (safe to delete)\n\n", version, s.Dir())
	fmt.Fprintf(w, "  receives   %s\n", here.Webhooks)
	for _, line := range cfg.Forwards() {
		fmt.Fprintf(w, "  forwards   %s\n", line)
	}
	plugins := s.Plugins()
	names := make([]string, 0, len(plugins))
	for name, patterns := range plugins {
		wants := "not started yet, see the log"
		if patterns != nil {
			wants = strings.Join(patterns, " ")
		}
		names = append(names, fmt.Sprintf("%s (%s)", strings.TrimPrefix(name, "plugin:"), wants))
	}
	slices.Sort(names)
	if len(names) == 0 {
		names = []string{"none"}
	}
	fmt.Fprintf(w, "  plugins    %s   from %s\n", strings.Join(names, ", "), cfg.PluginDir)
	fmt.Fprintf(w, "  records    %s/v2/webhook_deliveries\n\n", here.Admin)
	if key := s.ForwardKey(); key != "" {
		fmt.Fprintf(w, "  Your app verifies with this key:  export TELNYX_PUBLIC_KEY=%s\n", key)
	} else if len(plugins) == 0 {
		fmt.Fprintf(w, "  Nothing handles events yet: add --forward-to URL, or put a plugin into %s.\n", cfg.PluginDir)
	}
	fmt.Fprintf(w, "  Try it, in another terminal:      %s trigger message.received\n", program)
	fmt.Fprintf(w, "  Stop:                             Ctrl-C\n\n")
}

// keysCommand prints public keys. The secret halves never leave their files.
func keysCommand(stdout io.Writer) *cli.Command {
	export := &cli.BoolFlag{Name: "export", Usage: "print a line for the shell: export TELNYX_PUBLIC_KEY=…"}
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORM`: text or json"}
	show := func(name, usage string, load func(*sidecar.Config, string) (ed25519.PrivateKey, error)) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, Flags: []cli.Flag{export, output}, OnUsageError: onUsageError,
			Action: func(_ context.Context, c *cli.Command) error {
				if err := noArguments(c); err != nil {
					return err
				}
				cfg, dir, err := dataDir(c)
				if err != nil {
					return err
				}
				key, err := load(&cfg, dir)
				if err != nil {
					return err
				}
				switch c.String("output") {
				case "text":
				case "json":
					return json.NewEncoder(stdout).Encode(map[string]string{"name": name, "public_key": sidecar.PublicText(key)})
				default:
					return usageError("--output: use text or json")
				}
				if c.Bool("export") {
					fmt.Fprint(stdout, "export TELNYX_PUBLIC_KEY=")
				}
				fmt.Fprintln(stdout, sidecar.PublicText(key))
				return nil
			},
		}
	}
	return &cli.Command{
		Name:  "keys",
		Usage: "print the public keys of this data directory, which are made if need be",
		Commands: []*cli.Command{
			show("forward", "the key that the app behind the sidecar verifies with", (*sidecar.Config).LoadForwardKey),
			show("dev", "the key of \"hookswitch trigger\", for a receiver of your own",
				func(_ *sidecar.Config, dir string) (ed25519.PrivateKey, error) {
					return sidecar.LoadKey(dir, sidecar.DevKey)
				}),
		},
	}
}

// roundDuration makes a duration readable: three digits of less than a
// minute, and else whole seconds.
func roundDuration(d time.Duration) time.Duration {
	for unit := time.Microsecond; unit < time.Second; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Second)
}
