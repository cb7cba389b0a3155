package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// pluginsCommand has the commands on plugins: those of a running sidecar, and
// files.
func pluginsCommand() *cli.Command {
	return &cli.Command{
		Name: "plugins", Usage: "inspect and manage plugins; create, check and test one",
		Commands: []*cli.Command{
			// On the plugins of a running sidecar.
			command("list", "list the plugins and what they are doing", "", []cli.Flag{outputFlag()}, listPlugins),
			command("info", "show all that is known about a plugin", "NAME", []cli.Flag{outputFlag()}, pluginInfo),
			logsOfPlugin(),
			steer("reload", "read the file and the settings again, and start a new process beside the old"),
			steer("enable", "start a plugin that was disabled"),
			steer("disable", "stop a plugin, even after a restart; its events wait for it"),
			steer("rollback", "go back to the program that ran before, until the file changes"),
			// On files that are, or will be, plugins. They need no sidecar.
			checkPluginCommand(), testPluginCommand(), newPluginCommand(), verifyPluginCommand(),
		},
	}
}

func listPlugins(ctx context.Context, c *cli.Command, api *client) error {
	var list struct{ Data []adminapi.Plugin }
	if err := api.get(ctx, "/plugins", nil, &list); err != nil {
		return err
	}
	return show(c, list.Data, func(w io.Writer) {
		table := rows{{"NAME", "STATE", "FOR", "VERSION", "PID", "RESTARTS", "RATE", "P50", "P99", "EVENTS"}}
		for _, p := range list.Data {
			table = append(table, []string{p.Name, p.State, ago(p.Since), cmp.Or(p.Version, "–"), cmp.Or(number(p.PID), "–"), fmt.Sprint(p.Restarts),
				fmt.Sprintf("%.1f/s", p.Rate), millis(p.P50MS / 1000), millis(p.P99MS / 1000), cmp.Or(trouble(p), strings.Join(p.Events, " "), "–")})
		}
		table.print(w)
	})
}

func pluginInfo(ctx context.Context, c *cli.Command, api *client) error {
	name, err := onePlugin(c)
	if err != nil {
		return err
	}
	var p adminapi.Plugin
	if err := api.get(ctx, "/plugins/"+url.PathEscape(name), nil, &p); err != nil {
		return err
	}
	return show(c, p, func(w io.Writer) {
		row := func(name, value string) {
			if value != "" {
				fmt.Fprintf(w, "%s\t%s\n", name, oneLine(value))
			}
		}
		row("plugin", p.Name)
		state := p.State
		if p.Since != nil {
			state += " for " + ago(p.Since)
		}
		row("state", state)
		row("file", p.File)
		row("digest", p.Digest)
		if p.Rollback {
			row("", "an older program than the file, until the file changes")
		}
		row("version", strings.TrimSpace(p.Version+" "+p.SDK))
		row("events", strings.Join(p.Events, " "))
		row("pid", number(p.PID))
		if p.UpSince != nil {
			row("up", ago(p.UpSince))
		}
		row("restarts", fmt.Sprint(p.Restarts))
		row("reloads", fmt.Sprint(p.Reloads))
		row("in flight", fmt.Sprintf("%d of %d", p.InFlight, p.Credit))
		row("handled", fmt.Sprintf("%d done, %d to be retried, %d dead, %d lost in crashes", p.Done, p.Retried, p.Dead, p.Crashed))
		row("rate", fmt.Sprintf("%.1f/s, p50 %s, p99 %s", p.Rate, millis(p.P50MS/1000), millis(p.P99MS/1000)))
		if p.Suspects > 0 {
			row("suspects", fmt.Sprintf("%d events were in a process that died", p.Suspects))
		}
		if p.LastError != "" {
			when := ""
			if p.LastErrorAt != nil {
				when = ago(p.LastErrorAt) + " ago: "
			}
			row("last error", when+p.LastError)
		}
		if p.UpdateFailed != nil {
			row("update failed", fmt.Sprintf("%s ago, %.8s: %s", ago(p.UpdateFailed.At), p.UpdateFailed.Digest, p.UpdateFailed.Reason))
		}
	})
}

func onePlugin(c *cli.Command) (string, error) {
	if c.Args().Len() != 1 {
		return "", usageError("%s: give the name of one plugin; \"hookswitch plugins list\" lists them", words(c))
	}
	return c.Args().First(), nil
}

// trouble returns a plugin's problem in one line; the list shows it instead of
// the events.
func trouble(p adminapi.Plugin) string {
	text := ""
	switch {
	case p.UpdateFailed != nil:
		text = "update failed: " + p.UpdateFailed.Reason
	case p.State != "ready":
		text = p.LastError
	}
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// ago returns how long ago t was.
func ago(t *time.Time) string {
	if t == nil {
		return "–"
	}
	return age(time.Since(*t))
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// steer returns a command that does something to a plugin and shows the result.
func steer(verb, usage string) *cli.Command {
	return command(verb, usage, "NAME", []cli.Flag{outputFlag()}, func(ctx context.Context, c *cli.Command, api *client) error {
		name, err := onePlugin(c)
		if err != nil {
			return err
		}
		var p adminapi.Plugin
		if err := api.call(ctx, http.MethodPost, "/plugins/"+url.PathEscape(name)+"/"+verb, nil, nil, &p); err != nil {
			return err
		}
		return show(c, p, func(w io.Writer) {
			line := fmt.Sprintf("%s is %s", p.Name, p.State)
			if p.PID != 0 {
				line += fmt.Sprintf(" (version %s, digest %.8s, pid %d)", cmp.Or(p.Version, "–"), p.Digest, p.PID)
			}
			fmt.Fprintln(w, line)
		})
	})
}
