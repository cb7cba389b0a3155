package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/plugincheck"
)

func verifyPluginCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "test a plugin in any language against the protocol", ArgsUsage: "FILE",
		Description: "FILE is a program that speaks gRPC, or a NAME.plugin.json, which declares a\n" +
			"command that reads JSON lines or a remote server. The server is not stopped.\n" +
			"\n" +
			"Starts the plugin several times and sends it a few hundred real events of a type\n" +
			"that it asks for: more than one at a time, large, repeated,\n" +
			"cancelled, with a body that cannot be read. Each rule of plugins/PROTOCOL.md\n" +
			"that it breaks is shown with the expected behaviour. Exits 1 then.",
		Flags:                     eventFlags(),
		DisableSliceFlagSeparator: true,
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return usageError("plugins verify: name the file of one plugin: a program, or a NAME.plugin.json")
			}
			cfg, err := probeConfig(c)
			if err != nil {
				return err
			}
			return verifyPlugin(ctx, c, plugincheck.VerifyConfig{Config: cfg, Event: func(patterns []string) (*delivery.Event, error) {
				name := c.String("event")
				if name == "" && c.String("from") == "" {
					if name = anEventFor(patterns); name == "" {
						return inventEvent(patterns[0]), nil
					}
				}
				return pluginEvent(name, c.String("from"), c.StringSlice("set"))
			}})
		},
	}
}

// verifyPlugin prints each check as it is decided.
func verifyPlugin(ctx context.Context, c *cli.Command, cfg plugincheck.VerifyConfig) error {
	result := struct {
		File   string              `json:"file"`
		OK     bool                `json:"ok"`
		Checks []plugincheck.Check `json:"checks"`
	}{File: c.Args().First()}
	counts := make(map[string]int)
	p, quiet := newPalette(c), c.String("output") == "json"
	result.OK = plugincheck.Verify(ctx, result.File, cfg, func(check plugincheck.Check) {
		result.Checks = append(result.Checks, check)
		counts[check.Result]++
		if !quiet {
			printCheck(c.Writer, p, check)
		}
	})
	if err := ctx.Err(); err != nil {
		return &exitError{exitInterrupted, err}
	}
	if quiet {
		if err := show(c, result, nil); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.Writer, "%d checks: %d passed, %d failed, %d skipped\n", len(result.Checks),
			counts[plugincheck.Passed], counts[plugincheck.Failed], counts[plugincheck.Skipped])
	}
	if !result.OK {
		return errSaid
	}
	return nil
}

func printCheck(w io.Writer, p palette, c plugincheck.Check) {
	mark := p.green("✓")
	switch c.Result {
	case plugincheck.Failed:
		mark = p.red("✗")
	case plugincheck.Skipped:
		mark = p.faint("–")
	}
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s %s  %s  %s", mark, pad(c.Name, 24), pad(shortly(c.Took).String(), 7), c.Got), " "))
	if c.Result == plugincheck.Failed {
		fmt.Fprintf(w, "    expected: %s\n", c.Want)
	}
}

// inventEvent makes an event that fits a pattern without a sample.
func inventEvent(pattern string) *delivery.Event {
	name, now := strings.Replace(pattern, "*", "verify", 1), time.Now().UTC().Format(time.RFC3339Nano)
	body := fmt.Appendf(nil, `{"data":{"record_type":"event","event_type":%q,"id":%q,"occurred_at":%q,"payload":{}},"meta":{"attempt":1}}`,
		name, uuid.NewString(), now)
	return storedEvent(body, "application/json")
}
