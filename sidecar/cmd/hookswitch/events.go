package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

func eventsCommand() *cli.Command {
	limit := &cli.IntFlag{Name: "limit", Value: 50, Usage: "show at most `N` events"}
	return &cli.Command{
		Name: "events", Usage: "list, show and export events; list their types",
		Commands: []*cli.Command{
			command("list", "list events, newest first", "[ID...]", slices.Concat(filterFlags(), []cli.Flag{limit, outputFlag()}), listEvents("/events")),
			command("get", "show one event with all its attempts, as JSON", "ID", nil, copyOne("")),
			command("payload", "print the exact bytes of an event", "ID", nil, copyOne("/payload")),
			command("count", "count events by type", "[TYPE...]", slices.Concat(filterFlags(), []cli.Flag{outputFlag()}), countEvents),
			eventTypesCommand(),
			command("export", "print whole events, one JSON object per line, newest first", "[ID...]", filterFlags(), exportEvents),
		},
	}
}

// typeCount is a line of "events count".
type typeCount struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
}

// countEvents counts the events that a filter selects; its arguments are types.
func countEvents(ctx context.Context, c *cli.Command, api *client) error {
	f, err := readFilter(c)
	if err != nil {
		return err
	}
	f.Types, f.IDs, f.All = append(f.Types, f.IDs...), nil, true
	var p adminapi.Preview
	if err := api.call(ctx, http.MethodPost, "/replays", nil, adminapi.ReplayRequest{Filter: f, DryRun: true}, &p); err != nil {
		return err
	}
	if p.Events == 0 {
		return nothing(ctx, api, f)
	}
	list := make([]typeCount, 0, len(p.Types))
	for name, n := range p.Types {
		list = append(list, typeCount{name, n})
	}
	slices.SortFunc(list, func(a, b typeCount) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Type, b.Type)) })
	return show(c, list, func(w io.Writer) {
		fmt.Fprintln(w, "TYPE\tCOUNT")
		for _, t := range list {
			fmt.Fprintf(w, "%s\t%d\n", typeName(t.Type), t.Count)
		}
	})
}

// copyOne prints the API's answer about the event that is the only argument.
func copyOne(what string) action {
	return func(ctx context.Context, c *cli.Command, api *client) error {
		if c.Args().Len() != 1 {
			return usageError("%s: give the id of one event or delivery", words(c))
		}
		id, err := wholeID(ctx, api, c.Args().First())
		if err != nil {
			return err
		}
		out := c.Writer
		if o, ok := out.(*outlet); ok && what == "/payload" {
			out = o.exact()
		}
		return copyTo(ctx, api, out, "/events/"+url.PathEscape(id)+what, nil)
	}
}

func copyTo(ctx context.Context, api *client, out io.Writer, path string, query url.Values) error {
	res, err := api.do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(out, res.Body); err != nil {
		return fmt.Errorf("the sidecar's answer broke off: %w", err)
	}
	return nil
}

// exportEvents prints whole events, and shows its progress where that does not
// mix with them.
func exportEvents(ctx context.Context, c *cli.Command, api *client) error {
	f, err := eventFilter(ctx, c, api)
	if err != nil {
		return err
	}
	count := &lineCounter{w: c.Writer}
	if !isTerminal(c.Writer) {
		total := 0
		if isTerminal(c.ErrWriter) { // counting takes a while, too
			f.All = true
			var p adminapi.Preview
			if err := api.call(ctx, http.MethodPost, "/replays", nil, adminapi.ReplayRequest{Filter: f, DryRun: true}, &p); err != nil {
				return err
			}
			total = p.Events
		}
		p := newProgress(c.ErrWriter, "exported", total)
		defer p.end()
		count.each = p.at
	}
	if err := copyTo(ctx, api, count, "/events/export", values(f)); err != nil {
		return err
	}
	if count.n == 0 {
		return nothing(ctx, api, f)
	}
	return nil
}

// lineCounter counts the lines written.
type lineCounter struct {
	w    io.Writer
	n    int
	each func(n int) // may be nil
}

func (l *lineCounter) Write(p []byte) (int, error) {
	l.n += bytes.Count(p, []byte("\n"))
	if l.each != nil {
		l.each(l.n)
	}
	return l.w.Write(p)
}

// listEvents pages through a list until it has enough.
func listEvents(path string) action {
	return func(ctx context.Context, c *cli.Command, api *client) error {
		f, err := eventFilter(ctx, c, api)
		if err != nil {
			return err
		}
		most := c.Int("limit")
		if most < 1 {
			return usageError("--limit: give a number of 1 or more")
		}
		query, events, more := values(f), []adminapi.Event{}, true
		for more && len(events) < most {
			query.Set("limit", strconv.Itoa(min(most-len(events), 200)))
			var page adminapi.EventPage
			if err := api.get(ctx, path, query, &page); err != nil {
				return err
			}
			events = append(events, page.Data...)
			query.Set("cursor", page.NextCursor)
			more = page.NextCursor != ""
		}
		if len(events) == 0 {
			return nothing(ctx, api, f)
		}
		return show(c, events, func(w io.Writer) {
			eventRows(events).print(w)
			if more {
				fmt.Fprintf(w, "and more: --limit %d\n", 2*most)
			}
		})
	}
}

// eventRows has a row for each job of each event.
func eventRows(events []adminapi.Event) rows {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = cmp.Or(e.ID, e.DeliveryID)
	}
	n := shortIDs(ids)
	table := rows{{"EVENT", "TYPE", "RECEIVED", "STATUS", "TARGET", "TRIES", "LAST RESULT"}}
	for i, e := range events {
		id := cut(ids[i], max(n, 8))
		if len(ids[i]) > n {
			id = ids[i][:n]
		}
		if len(e.Jobs) == 0 {
			table = append(table, []string{id, typeName(e.Type), clock(e.ReceivedAt), e.Status, "–", "0", ""})
		}
		for _, j := range e.Jobs {
			table = append(table, []string{id, typeName(e.Type), clock(e.ReceivedAt), j.State, j.Target, strconv.Itoa(j.Attempts), lastResult(j)})
			id = ""
		}
	}
	return table
}

func lastResult(j adminapi.Job) string {
	text := ""
	switch last := j.Last; {
	case last == nil:
	case last.Error != "":
		text = last.Error
	case last.ResponseStatus != 0:
		text = strconv.Itoa(last.ResponseStatus)
	default:
		text = last.Outcome
	}
	if j.NextAt != nil && j.Attempts > 0 {
		text += " (next " + clock(j.NextAt) + ")"
	}
	return text
}
