package main

import (
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// filterFlags returns the flags that select events.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "filter", Usage: "`WORDS` such as 'status=dead type=message.* since=2h'"},
		&cli.StringFlag{Name: "type", Usage: "event `TYPES`: exact, message.* or *, separated by commas"},
		&cli.StringFlag{Name: "status", Usage: "`STATUS`: pending, retrying, done, dead, discarded or unhandled"},
		&cli.StringFlag{Name: "target", Usage: "`TARGET` such as forward:default"},
		&cli.StringFlag{Name: "since", Usage: "received since `TIME`: 2026-11-24T14:00:00Z, 2h or 1d ago, yesterday, or a date"},
		&cli.StringFlag{Name: "until", Usage: "received before `TIME`"},
		&cli.StringFlag{Name: "text", Usage: "`TEXT` in the body"},
		&cli.StringFlag{Name: "error", Usage: "`TEXT` of the latest attempt's error, all of it"},
	}
}

// readFilter returns the filter given by the flags, and the arguments as ids.
func readFilter(c *cli.Command) (adminapi.Filter, error) {
	f, err := adminapi.ParseFilter(c.String("filter"))
	if err != nil {
		return f, usageError("--%w", err)
	}
	for name, field := range map[string]*string{
		"status": &f.Status, "target": &f.Target, "since": &f.Since, "until": &f.Until, "text": &f.Text, "error": &f.Error,
	} {
		if c.IsSet(name) {
			*field = c.String(name)
		}
	}
	if f.Target != "" {
		if err := checkTarget("target", f.Target); err != nil {
			return f, err
		}
	}
	f.Since, f.Until = calendar(f.Since, time.Now()), calendar(f.Until, time.Now())
	if c.IsSet("type") {
		f.Types = strings.Split(c.String("type"), ",")
	}
	f.IDs = append(f.IDs, c.Args().Slice()...)
	f.All = c.Bool("all")
	return f, nil
}

// values returns a filter as a query string.
func values(f adminapi.Filter) url.Values {
	q := make(url.Values)
	for name, list := range map[string][]string{
		"id": f.IDs, "type": f.Types, "target": {f.Target}, "status": {f.Status},
		"since": {f.Since}, "until": {f.Until}, "text": {f.Text}, "error": {f.Error},
	} {
		for _, v := range list {
			if v != "" {
				q.Add(name, v)
			}
		}
	}
	return q
}
