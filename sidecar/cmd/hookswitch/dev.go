package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

func devCommand() *cli.Command {
	return &cli.Command{
		Name:  "dev",
		Usage: "run a sidecar for development; needs no configuration",
		Description: "Accepts events signed with a development key, which it creates and keeps, so\n" +
			"that \"hookswitch trigger\" works at once. Real Telnyx events are accepted too if\n" +
			"TELNYX_PUBLIC_KEY is set. The variables of \"hookswitch run\" apply.\n\n" +
			"On a terminal, keys retry, open, copy and filter events; ? lists them.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "forward-to", Usage: "POST every event to this `URL`, or to a port of this machine", DefaultText: "HOOKSWITCH_FORWARD_TO"},
			&cli.StringFlag{Name: "plugins", Usage: "start the plugins in `DIR`", DefaultText: "HOOKSWITCH_PLUGIN_DIR or plugins"},
			&cli.StringFlag{Name: "listen", Usage: "receive webhooks on `ADDRESS`", DefaultText: "HOOKSWITCH_LISTEN or :8080"},
			&cli.StringFlag{Name: "admin-listen", Usage: "serve the delivery records on `ADDRESS`", DefaultText: "HOOKSWITCH_ADMIN_LISTEN or 127.0.0.1:9080"},
		},
		Action: dev,
	}
}

// devConfig reads the configuration, with the flags of dev in it.
func devConfig(c *cli.Command) config.Config {
	cfg, _ := loadConfig(c) // what is wrong is said by ValidateDev, with all the rest
	for flag, setting := range map[string]struct {
		value *string
		typed func(string) string
	}{
		"forward-to":   {&cfg.ForwardTo, appURL},
		"plugins":      {&cfg.PluginDir, strings.Clone},
		"listen":       {&cfg.Listen, func(text string) string { return listenAddress("", text) }},
		"admin-listen": {&cfg.AdminListen, func(text string) string { return listenAddress("127.0.0.1", text) }},
	} {
		if c.IsSet(flag) {
			*setting.value = setting.typed(c.String(flag))
			cfg.Flag(devFlags[flag], "--"+flag)
		}
	}
	return cfg
}

// devFlags are the flags of dev, and the settings that they set.
var devFlags = map[string]string{
	"forward-to": "HOOKSWITCH_FORWARD_TO", "plugins": "HOOKSWITCH_PLUGIN_DIR",
	"listen": "HOOKSWITCH_LISTEN", "admin-listen": "HOOKSWITCH_ADMIN_LISTEN",
}

// asTyped names the flags in an error about settings that flags have set. If it is
// about nothing else, the command line is wrong.
func asTyped(c *cli.Command, err error) error {
	var names []string
	for flag, variable := range devFlags {
		if c.IsSet(flag) {
			names = append(names, variable, "--"+flag)
		}
	}
	flags := strings.NewReplacer(names...)
	ce, ok := errors.AsType[*config.Error](err)
	if !ok {
		if err != nil && flags.Replace(err.Error()) != err.Error() {
			return errors.New(flags.Replace(err.Error()))
		}
		return err
	}
	typed := 0
	for i := range ce.Problems {
		p := &ce.Problems[i]
		before := p.Variable
		if p.Variable, p.Text = flags.Replace(before), flags.Replace(p.Text); p.Variable != before {
			typed++
		}
	}
	if typed < len(ce.Problems) {
		return err
	}
	return usageError("%s", strings.TrimPrefix(ce.Error(), "configuration: "))
}

func dev(ctx context.Context, c *cli.Command) error {
	stdout, stderr := c.Writer, c.ErrWriter
	for flag := range devFlags {
		if c.IsSet(flag) && c.String(flag) == "" {
			return usageError("--%s is empty: is a variable of the shell not set?", flag)
		}
	}
	load := func() (config.Config, error) {
		cfg := devConfig(c)
		return cfg, asTyped(c, cfg.ValidateDev())
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	if here, ok := running(ctx, cfg); ok {
		return attach(ctx, c, here)
	}
	printed := neverWait(stdout, "standard output")
	output := neverWait(stderr, "standard error")
	// The end of its terminal ends it too, but not before attempts under way.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	for _, text := range cfg.Advice() {
		fmt.Fprintf(stderr, "hookswitch: warning: %s\n", text)
	}
	// The screen belongs to the events; of the log it shows warnings, errors and
	// the lines of plugins.
	log, err := telemetry.NewLogger(stderr, "text", max(cfg.LogLevel, slog.LevelWarn))
	if err != nil {
		return err
	}
	log = slog.New(offScreen{log.Handler()})
	output.LogAs("text")
	takeLogs(log)
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	plugins := slog.New(pluginScreen{out: stderr, palette: paletteOf(c, stderr), level: level})
	s, err := sidecar.New(ctx, cfg, sidecar.Options{
		Version: version, Log: log, Outputs: []*telemetry.LogWriter{output, printed}, Plugins: plugins, Dev: true, Load: load, Level: level,
	})
	if err != nil {
		return asTyped(c, err)
	}
	go endLeftover(s.Dir(), appStopTimeout, log)
	if err := instance.AddLatest(s.Dir()); err != nil {
		log.Debug("commands find this sidecar in its own directory only", "error", err)
	}
	printBanner(stdout, s, cfg, c.Root().Name)
	screen := &console{out: stdout, palette: newPalette(c), form: "pretty", retries: len(cfg.RetrySchedule)}
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		screen.follow(s.Live().Watch())
	}()
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	keys := &liveKeys{screen: screen, connect: func() (*client, error) { return connect(c) }, quit: quit}
	release := keys.watch(ctx)
	defer release()
	err = s.Run(ctx)
	release()
	select {
	case <-shown:
	case <-time.After(time.Second): // a stopped terminal holds up nothing
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "\nstopped; undelivered events are kept for the next start")
	return nil
}

// printBanner prints the addresses and what to do next.
func printBanner(w io.Writer, s *sidecar.Sidecar, cfg config.Config, program string) {
	here := s.Addresses()
	if len(os.Args) > 0 {
		program = os.Args[0] // as typed, so that it can be typed again
	}
	fmt.Fprintf(w, "hookswitch %s · dev mode · data in %s (safe to delete)\n\n", version, s.Dir())
	fmt.Fprintf(w, "  receives   %s\n", here.Webhooks)
	for _, line := range cfg.Forwards() {
		fmt.Fprintf(w, "  forwards   %s\n", line)
	}
	plugins := s.Plugins()
	names := make([]string, 0, len(plugins))
	for target, patterns := range plugins {
		name, _ := delivery.Plugin.Cut(target)
		wants := "not started yet, see the log"
		if patterns != nil {
			wants = strings.Join(patterns, " ")
		}
		names = append(names, fmt.Sprintf("%s (%s)", name, wants))
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
		fmt.Fprintf(w, "  Nothing handles events yet: add --forward-to URL, or put a plugin in %s.\n", cfg.PluginDir)
	}
	fmt.Fprintf(w, "  Try it, in another terminal:      %s trigger message.received\n", program)
	fmt.Fprintf(w, "  Stop:                             Ctrl-C\n\n")
}

// running returns the sidecar running on the data directory of cfg, if one
// answers.
func running(ctx context.Context, cfg config.Config) (instance.Info, bool) {
	dir, err := cfg.Dir()
	if err != nil {
		return instance.Info{}, false
	}
	here, err := instance.Find(dir)
	return here, err == nil && answers(here)
}

// attach shows what a running sidecar does, instead of starting a second one on
// its data directory.
func attach(ctx context.Context, c *cli.Command, here instance.Info) error {
	fmt.Fprintf(c.Writer, "hookswitch is already running here (pid %d): showing what it does\n\n", here.PID)
	fmt.Fprintf(c.Writer, "  receives   %s\n  records    %s/v2/webhook_deliveries\n\n", here.Webhooks, here.Admin)
	for _, flag := range slices.Sorted(maps.Keys(devFlags)) {
		if c.IsSet(flag) {
			fmt.Fprintf(c.Writer, "  --%s has no effect on it: stop it first, or use another directory (HOOKSWITCH_STORE=file:DIR)\n", flag)
		}
	}
	return newTail(c, url.Values{}, "pretty").watch(ctx)
}

// offScreen passes on the log lines that the screen of "hookswitch dev" does not
// show in its own way: all except rejected requests.
type offScreen struct{ slog.Handler }

func (h offScreen) Handle(ctx context.Context, r slog.Record) error {
	shown := false
	r.Attrs(func(a slog.Attr) bool {
		shown = a.Key == "code" && a.Value.Any() == any(telemetry.CodeRequestRejected)
		return !shown
	})
	if shown {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h offScreen) WithAttrs(attrs []slog.Attr) slog.Handler {
	return offScreen{h.Handler.WithAttrs(attrs)}
}

func (h offScreen) WithGroup(name string) slog.Handler { return offScreen{h.Handler.WithGroup(name)} }
