package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// What is said of a command line that is wrong: in its own words, with the name of
// the flag, and with what may have been meant. The exit code is 2.

func onUsageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	return usageError("%w; see \"%s --help\"", mistake(c, err), c.FullName())
}

// mistake puts an error of the library into words that do not need to know it.
func mistake(c *cli.Command, err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		name = strings.TrimLeft(name, "-")
		var names []string
		for _, f := range slices.Concat(c.VisibleFlags(), c.VisiblePersistentFlags()) {
			names = append(names, f.Names()...)
		}
		if guess := meant(name, names, ""); guess != "" && len(name) > 1 {
			return fmt.Errorf("there is no flag %s: %s", dashed(name), strings.Replace(guess, `"`, `"--`, 1))
		}
		return fmt.Errorf("there is no flag %s", dashed(name))
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		return fmt.Errorf("%s needs a value", name)
	}
	_, name, _ := strings.Cut(text, " for flag -")
	name, _, found := strings.Cut(name, ":")
	if !found {
		return err
	}
	value, _, _ := strings.Cut(strings.TrimPrefix(text, "invalid value "), " for flag -")
	for _, f := range slices.Concat(c.Flags, c.Root().Flags) {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		switch f.(type) {
		case *cli.IntFlag:
			return fmt.Errorf("%s: %s is not a whole number", dashed(name), value)
		case *cli.DurationFlag:
			return fmt.Errorf("%s: %s is not a duration: write it like 3s or 1m30s", dashed(name), value)
		case *cli.BoolFlag:
			return fmt.Errorf("%s: %s must be true or false", dashed(name), value)
		}
	}
	return err
}

// dashed returns a flag as it is typed.
func dashed(name string) string {
	if utf8.RuneCountInString(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// unknownCommand suggests what may have been meant.
func unknownCommand(c *cli.Command, name string) error {
	names := subcommands(c)
	if len(names) == 0 {
		return usageError("%q has no commands, and no %q", c.FullName(), name)
	}
	return usageError("there is no command %q: %s", c.FullName()+" "+name, meant(name, names, fmt.Sprintf("\"%s help\" lists them", c.FullName())))
}

func subcommands(c *cli.Command) (names []string) {
	for _, sub := range c.VisibleCommands() {
		names = append(names, sub.Name)
	}
	return names
}

// meant suggests the name closest to a misspelt word, or returns hint if none is
// close.
func meant(word string, names []string, hint string) string {
	distance := 1 + max(1, len(word)/3)
	for _, name := range names {
		if d := spelling.Distance(strings.ToLower(word), name); d < distance {
			hint, distance = fmt.Sprintf("did you mean %q?", name), d
		}
	}
	return hint
}

// words returns the name of a command as it is typed after the program's.
func words(c *cli.Command) string {
	return strings.TrimPrefix(c.FullName(), c.Root().Name+" ")
}

// notACommand finds an argument that looks more like a command than like an id.
func notACommand(c *cli.Command) error {
	name := c.Args().First()
	if len(c.VisibleCommands()) == 0 || strings.Trim(strings.ToLower(name), "0123456789abcdef-") == "" {
		return nil
	}
	if guess := meant(name, subcommands(c), ""); guess != "" {
		return usageError("there is no command %q: %s", c.FullName()+" "+name, guess)
	}
	return nil
}

// checkTyped finds what is wrong with the command line of a command that asks a
// sidecar, before it is asked.
func checkTyped(c *cli.Command) error {
	if err := notACommand(c); err != nil {
		return err
	}
	for _, f := range c.Flags {
		var err error
		switch f.Names()[0] {
		case "output":
			err = checkOutput(c)
		case "filter":
			var f adminapi.Filter
			if f, err = readFilter(c); err == nil {
				err = inFlags(c, f.Check())
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTarget refuses what is not the name of a target.
func checkTarget(flag, text string) error {
	for _, kind := range []delivery.Kind{delivery.Forward, delivery.Plugin} {
		if name, ok := kind.Cut(text); ok && name != "" {
			return nil
		}
	}
	return usageError("--%s: %q is not the name of a target: write it like %s or %s; \"hookswitch status\" lists the targets",
		flag, text, delivery.Forward.Target("default"), delivery.Plugin.Target("crm"))
}

// inFlags names the flag in an error of the API about what a flag has set.
func inFlags(c *cli.Command, err error) error {
	p, ok := errors.AsType[*adminapi.Problem](err)
	if !ok || p.Status != http.StatusBadRequest && p.Status != http.StatusUnprocessableEntity {
		return err
	}
	name, _, found := strings.Cut(p.Detail, ": ")
	switch {
	case found && c.IsSet(name):
		return usageError("--%s", p.Detail)
	case found && c.IsSet("filter"):
		return usageError("--filter: %s", p.Detail)
	}
	return err
}

// nothing says that no event fits a filter, and why that may be: a type that Telnyx
// never sends, or a target that is not there.
func nothing(ctx context.Context, api *client, f adminapi.Filter) error {
	for _, t := range f.Types {
		if hint := spelling.EventType(t); hint != "" {
			return &exitError{exitNothing, fmt.Errorf("no event matches %s", hint)}
		}
	}
	var s adminapi.Status
	if f.Target == "" || api.get(ctx, "/status", nil, &s) != nil {
		return errNothing
	}
	var names []string
	for _, t := range s.Targets {
		if names = append(names, t.Target); t.Target == f.Target {
			return errNothing
		}
	}
	return &exitError{exitNothing, fmt.Errorf("no event matches, and there is no target %q: %s", f.Target,
		meant(f.Target, names, "the targets are "+strings.Join(names, ", ")))}
}

// checkURL refuses what is not the URL of an HTTP server.
func checkURL(flag, text, example string) error {
	if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usageError("--%s %q is not a URL: write it like %s", flag, text, example)
	}
	return nil
}

// checkTimeout refuses a time in which nothing can be done.
func checkTimeout(c *cli.Command) error {
	if d := c.Duration("timeout"); c.IsSet("timeout") && d <= 0 {
		return usageError("--timeout: give a time above 0, such as %s", 3*time.Second)
	}
	return nil
}
