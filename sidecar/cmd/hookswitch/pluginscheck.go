package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/plugincheck"
)

// probeFlags returns the flags of commands that start a plugin themselves: their
// own and those of all.
func probeFlags(own ...cli.Flag) []cli.Flag {
	return append(own,
		&cli.StringFlag{Name: "settings", Usage: "give the plugin the settings in `FILE`", DefaultText: "NAME.json beside the plugin, if it exists"},
		&cli.DurationFlag{Name: "start-timeout", Value: plugincheck.DefaultStartTimeout, Usage: "how long it may take to start"},
		outputFlag(),
	)
}

// probeConfig returns how a plugin is started: as the sidecar would.
func probeConfig(c *cli.Command) (plugincheck.Config, error) {
	if _, err := outputForm(c, "table", "json"); err != nil {
		return plugincheck.Config{}, err
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return plugincheck.Config{}, err
	}
	probe := cfg.Probe()
	probe.Settings = c.String("settings")
	probe.StartTimeout = max(c.Duration("start-timeout"), 0) // as if it were not given
	probe.Timeout = cmp.Or(max(c.Duration("timeout"), 0), probe.Timeout)
	return probe, nil
}

func checkPluginCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "check that a file loads as a plugin, or say why not", ArgsUsage: "FILE...",
		Description: "Looks at the file, starts it as the sidecar would, asks it what it is, gives it\n" +
			"its settings and stops it. It gets no event. Exits 1 if it cannot be loaded.",
		Flags: probeFlags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return usageError("plugins check: name the file of a plugin")
			}
			cfg, err := probeConfig(c)
			if err != nil {
				return err
			}
			bad := false
			for _, file := range c.Args().Slice() {
				report := checkPlugin(ctx, file, cfg)
				bad = bad || !report.OK
				err := show(c, report, func(w io.Writer) { printReport(w, newPalette(c), report) })
				if err != nil {
					return err
				}
			}
			if bad {
				return errSaid
			}
			return nil
		},
	}
}

// checkPlugin starts and stops a plugin.
func checkPlugin(ctx context.Context, file string, cfg plugincheck.Config) plugincheck.Report {
	probe := plugincheck.Start(ctx, file, cfg)
	report := probe.Report
	begun := time.Now()
	if err := probe.Stop(); err != nil {
		report.Warnings = append(report.Warnings, fmt.Sprintf("when it was stopped: %v (after %s); sdk.Serve ends by itself, and a plugin without it must too: see plugins/PROTOCOL.md",
			err, roundDuration(time.Since(begun))))
	}
	return report
}

func printReport(w io.Writer, p palette, r plugincheck.Report) {
	if r.Problem != nil {
		fmt.Fprintf(w, "%s %s cannot be loaded\n  %s\n", p.red("✗"), r.File, r.Problem.What)
		for _, line := range r.Problem.Detail {
			fmt.Fprintf(w, "      %s\n", strings.ReplaceAll(line, "\t", "    "))
		}
		if r.Problem.Fix != "" {
			fmt.Fprintf(w, "  fix: %s\n", r.Problem.Fix)
		}
	} else {
		fmt.Fprintf(w, "%s %s can be loaded\n", p.green("✓"), r.File)
		fmt.Fprintf(w, "  plugin\t%s\n", pluginTitle(r))
		fmt.Fprintf(w, "  speaks\t%s\n", pluginSpeech(r))
		fmt.Fprintf(w, "  events\t%s\n", strings.Join(r.Patterns, " "))
		if r.Settings != "" {
			fmt.Fprintf(w, "  settings\t%s\n", r.Settings)
		}
		fmt.Fprintf(w, "  started\tin %s (handshake %s)\n", shortly(r.StartTook), shortly(r.HandshakeTook))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "%s %s\n", p.yellow("!"), warning)
	}
}

// pluginTitle returns the name that the sidecar would give a plugin, and the one
// it calls itself.
func pluginTitle(r plugincheck.Report) string {
	title := strings.TrimSpace(r.Name + " " + r.Version)
	if r.Described != "" && r.Described != r.Name {
		title += fmt.Sprintf(" (it calls itself %s)", r.Described)
	}
	return title
}

// pluginSpeech describes how a plugin talks to the sidecar.
func pluginSpeech(r plugincheck.Report) string {
	how := fmt.Sprintf("protocol %d, minimal profile, calls at once: %d", r.Protocol, r.InFlight)
	if r.Stream {
		how = fmt.Sprintf("protocol %d, stream, events at once: %d", r.Protocol, r.InFlight)
	}
	if sdk := strings.TrimSpace(r.SDK + " " + r.Language); sdk != "" {
		how += "; made with " + sdk
	}
	return how
}

func shortly(m plugincheck.Millis) time.Duration { return roundDuration(time.Duration(m)) }
