package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/lint"
)

func lintCommand() *cli.Command {
	return &cli.Command{
		Name:      "lint",
		Usage:     "find handlers for event types that Telnyx never sends",
		ArgsUsage: "[PATH...]",
		Description: "Reads source of any language, in this folder unless there is a PATH, and finds\n" +
			"event types that are compared with a name that Telnyx never sends, has renamed, or\n" +
			"spells differently. Exits with 1 if there are any.\n\n" +
			"Programs that do not mention Telnyx, and handlers of a program's own events, are left\n" +
			"alone, and so is a line with the comment hookswitch:ignore. Folders of other people's\n" +
			"code, tests, files that are not source, and symbolic links are skipped; -o json lists\n" +
			"them.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := checkOutput(c); err != nil {
				return err
			}
			return lintPaths(ctx, c)
		},
	}
}

func lintPaths(ctx context.Context, c *cli.Command) error {
	paths := c.Args().Slice()
	if len(paths) == 0 {
		paths = []string{"."}
	}
	report, err := lint.Run(ctx, paths...)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return usageError("lint: %w", err)
	}
	var result any = report
	if c.String("output") == "jsonl" {
		result = report.Findings
	}
	err = show(c, result, func(w io.Writer) {
		for _, f := range report.Findings {
			fmt.Fprintf(w, "%s:%d:%d: %v\n", f.File, f.Line, f.Column, f)
		}
		fmt.Fprintln(c.ErrWriter, lintSummary(report))
	})
	switch {
	case err != nil:
		return err
	case len(report.Findings) > 0:
		return &exitError{exitFailed, errSaid}
	case unreadable(report) > 0:
		return fmt.Errorf("lint: %s could not be read", counted(unreadable(report), "file or folder", "files or folders"))
	case report.Files == 0:
		return &exitError{exitNothing, fmt.Errorf("lint: there is no source in %s", strings.Join(paths, ", "))}
	}
	return nil
}

func unreadable(report *lint.Report) (n int) {
	for _, s := range report.Skipped {
		if s.Why == lint.Unreadable {
			n++
		}
	}
	return n
}

// skippedAs says what was skipped, in the order of the summary.
var skippedAs = []struct {
	why       lint.Why
	one, many string
	named     bool // few, and worth knowing
}{
	{lint.Unreadable, "unreadable file or folder", "unreadable files or folders", true},
	{lint.Huge, "file over 1 MiB", "files over 1 MiB", true},
	{lint.Minified, "minified file", "minified files", true},
	{lint.Vendored, "folder of other people's code", "folders of other people's code", true},
	{lint.Built, "folder of a build", "folders of a build", true},
	{lint.Test, "test", "tests", false},
	{lint.Hidden, "hidden folder", "hidden folders", false},
	{lint.Link, "symbolic link", "symbolic links", false},
	{lint.Special, "special file", "special files", false},
	{lint.Binary, "binary file", "binary files", false},
	{lint.Data, "file of data", "files of data", false},
}

// lintSummary says how many files were read, and what was not.
func lintSummary(report *lint.Report) string {
	text := counted(report.Files, "file", "files") + " read"
	if n := len(report.Findings); n > 0 {
		text += ": " + counted(n, "handler waits", "handlers wait") + " for ever"
	} else if report.Files > 0 { // not that all is well: it looks in some places only
		text += ": no handler for a name that Telnyx never sends was found"
	}
	var skipped []string
	for _, as := range skippedAs {
		var paths []string
		for _, s := range report.Skipped {
			if s.Why == as.why {
				paths = append(paths, s.Path)
			}
		}
		if len(paths) == 0 {
			continue
		}
		text := counted(len(paths), as.one, as.many)
		if as.named {
			more := ""
			if len(paths) > 3 {
				paths, more = paths[:3], ", …"
			}
			text += " (" + strings.Join(paths, ", ") + more + ")"
		}
		skipped = append(skipped, text)
	}
	if len(skipped) > 0 {
		text += "\nskipped: " + strings.Join(skipped, ", ")
	}
	return text
}

// counted returns a number and what it counts.
func counted(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}
