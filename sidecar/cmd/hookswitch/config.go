package main

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar"
)

// envFileFlag is a flag of every command.
func envFileFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "env-file", TakesFile: true,
		Usage: "read variables that are not set from `FILE`: lines of NAME=VALUE"}
}

// loadConfig reads the configuration of a command, with its --env-file.
func loadConfig(c *cli.Command) (sidecar.Config, error) {
	return sidecar.LoadConfig(c.StringSlice("env-file")...)
}

// dataDir returns the configuration and its data directory.
func dataDir(c *cli.Command) (sidecar.Config, string, error) {
	cfg, err := loadConfig(c)
	if err != nil {
		return cfg, "", err
	}
	dir, err := cfg.Dir()
	return cfg, dir, err
}

// printProblems prints a line for each, with the texts in one column.
func printProblems(w io.Writer, e *sidecar.ConfigError) {
	width := 0
	for _, p := range e.Problems {
		width = max(width, min(utf8.RuneCountInString(p.Subject()), 34))
	}
	for _, p := range e.Problems {
		fmt.Fprintf(w, "  %-*s  %s\n", width, p.Subject(), p.Text)
	}
}
