package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// configCommand checks and shows the configuration, without starting anything.
func configCommand() *cli.Command {
	dev := &cli.BoolFlag{Name: "dev", Usage: "as for \"hookswitch dev\", which needs no key"}
	running := &cli.BoolFlag{Name: "running", Usage: "of the running sidecar, not of the one that would start here"}
	format := &cli.StringFlag{Name: "format", Value: "md", Usage: "`FORMAT`: md, env or jsonschema"}
	return &cli.Command{
		Name: "config", Usage: "check, show and describe the configuration",
		Commands: []*cli.Command{
			{
				Name: "check", Usage: "list all mistakes in the configuration; exit 78 if there are any",
				Flags: []cli.Flag{dev, outputFlag()},
				Action: func(_ context.Context, c *cli.Command) error {
					return checkConfig(c)
				},
			},
			{
				Name: "show", Usage: "print every setting in effect and where it comes from; secrets are not shown",
				Flags: []cli.Flag{running, outputFlag()},
				Action: func(ctx context.Context, c *cli.Command) error {
					if c.Bool("running") {
						return showRunning(ctx, c)
					}
					cfg, err := loadConfig(c)
					return errors.Join(showConfig(c, cfg.Settings()), err)
				},
			},
			command("reload", "make the running sidecar read its files of variables and secrets again", "", []cli.Flag{outputFlag()}, reloadConfig),
			{
				Name: "docs", Usage: "print the reference of all settings",
				Flags: []cli.Flag{format},
				Action: func(_ context.Context, c *cli.Command) error {
					text, err := config.Reference(c.String("format"))
					if err != nil {
						return usageError("--format: use md, env or jsonschema")
					}
					_, err = io.WriteString(c.Writer, text)
					return err
				},
			},
		},
	}
}

// reloadConfig makes a running sidecar read its configuration again.
func reloadConfig(ctx context.Context, c *cli.Command, api *client) error {
	var r adminapi.Reloaded
	err := api.call(ctx, http.MethodPost, "/reload", nil, nil, &r)
	if p, ok := errors.AsType[*adminapi.Problem](err); ok && len(p.Problems) > 0 {
		bad := new(config.Error)
		for _, p := range p.Problems {
			bad.Problems = append(bad.Problems, config.Problem(p))
		}
		return bad
	}
	if err != nil {
		return err
	}
	return show(c, r, func(w io.Writer) {
		fmt.Fprintf(w, "reloaded; changed: %s\n", cmp.Or(strings.Join(r.Changed, " "), "–"))
		if len(r.Restart) > 0 {
			fmt.Fprintf(w, "not until a restart: %s\n", strings.Join(r.Restart, " "))
		}
	})
}

// checkConfig prints the mistakes and the warnings.
func checkConfig(c *cli.Command) error {
	cfg, _ := loadConfig(c) // Validate reports what is wrong, with all the rest
	validate := cfg.Validate
	if c.Bool("dev") {
		validate = cfg.ValidateDev
	}
	bad, _ := errors.AsType[*config.Error](validate())
	bad = cmp.Or(bad, new(config.Error))
	warnings := cfg.Advice
	if len(bad.Problems) > 0 {
		warnings = cfg.Warnings // the effect of the settings is not known yet
	}
	report := struct {
		Problems []config.Problem `json:"problems"`
		Warnings []string         `json:"warnings"`
	}{append([]config.Problem{}, bad.Problems...), append([]string{}, warnings()...)}
	err := show(c, report, func(w io.Writer) {
		switch n := len(bad.Problems); n {
		case 0:
			fmt.Fprintln(w, "✓ the configuration is good")
		default:
			fmt.Fprintf(w, "✗ %s\n", count(n, "problem"))
			printProblems(w, bad)
		}
		if n := len(report.Warnings); n > 0 {
			fmt.Fprintf(w, "! %s\n", count(n, "warning"))
		}
		for _, text := range report.Warnings {
			fmt.Fprintf(w, "  %s\n", text)
		}
	})
	if err == nil && len(bad.Problems) > 0 {
		return &exitError{exitConfig, errSaid}
	}
	return err
}

// errSaid is the error of a command that has printed what is wrong.
var errSaid = errors.New("")

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// showRunning prints the settings of a running sidecar.
func showRunning(ctx context.Context, c *cli.Command) error {
	api, err := connect(c)
	if err != nil {
		return err
	}
	var list struct{ Data []adminapi.Setting }
	if err := api.get(ctx, "/config", nil, &list); err != nil {
		return err
	}
	return showConfig(c, list.Data)
}

// showConfig prints settings. -o json does not shorten them.
func showConfig(c *cli.Command, settings []adminapi.Setting) error {
	return show(c, map[string]any{"data": settings}, func(w io.Writer) {
		fmt.Fprintln(w, "VARIABLE\tVALUE\tSOURCE")
		for _, s := range settings {
			source, value := s.Source, s.Value
			if widthOf(w) < noLimit {
				value = cut(value, 28)
			}
			if s.From != "" {
				source += " " + s.From
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, cmp.Or(value, "–"), source)
		}
	})
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// loadConfig reads the configuration of a command, with its --env-file.
func loadConfig(c *cli.Command) (config.Config, error) {
	return config.Load(c.StringSlice("env-file")...)
}

// dataDir returns the configuration and its data directory.
func dataDir(c *cli.Command) (config.Config, string, error) {
	cfg, err := loadConfig(c)
	if err != nil {
		return cfg, "", err
	}
	dir, err := cfg.Dir()
	return cfg, dir, err
}

// printProblems prints one line per problem, with the texts in one column.
func printProblems(w io.Writer, e *config.Error) {
	width := 0
	for _, p := range e.Problems {
		width = max(width, min(utf8.RuneCountInString(p.Subject()), 34))
	}
	for _, p := range e.Problems {
		fmt.Fprintf(w, "  %-*s  %s\n", width, p.Subject(), p.Text)
	}
}
