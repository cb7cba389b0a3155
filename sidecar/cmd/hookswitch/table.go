package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
)

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "`FORM`: table, json or jsonl (one per line)"}
}

// show prints v as JSON if requested, and otherwise by table. Fields of the JSON
// are those of the API, and only ever added.
func show(c *cli.Command, v any, table func(io.Writer)) error {
	e := json.NewEncoder(c.Writer)
	switch c.String("output") {
	case "json":
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "jsonl":
		list := reflect.ValueOf(v)
		if list.Kind() != reflect.Slice {
			return e.Encode(v)
		}
		for i := range list.Len() {
			if err := e.Encode(list.Index(i).Interface()); err != nil {
				return err
			}
		}
		return nil
	case "table":
		w := tabwriter.NewWriter(c.Writer, 0, 0, 2, ' ', 0) // aligns columns separated by tabs
		table(w)
		return w.Flush()
	}
	return checkOutput(c)
}

// checkOutput refuses an unknown --output.
func checkOutput(c *cli.Command) error {
	_, err := outputForm(c, "table", "json", "jsonl")
	return err
}

// outputForm returns the --output, which must be one of several.
func outputForm(c *cli.Command, forms ...string) (string, error) {
	form, last := c.String("output"), len(forms)-1
	if !slices.Contains(forms, form) {
		return "", usageError("--output: use %s or %s", strings.Join(forms[:last], ", "), forms[last])
	}
	return form, nil
}

// rows is a table of 80 columns. The last column is text: where it does not fit
// it goes on a line of its own. Wide columns before it are cut; the JSON forms are
// complete.
type rows [][]string

// print prints the rows, the first of which is the header.
func (r rows) print(w io.Writer) {
	last := len(r[0]) - 1
	widths := make([]int, last)
	for _, row := range r {
		for i := range row {
			row[i] = oneLine(row[i])
		}
		for i := range widths {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	sum := func() (n int) {
		for _, width := range widths {
			n += width + 2
		}
		return n
	}
	for sum() > screenWidth {
		widths[slices.Index(widths, slices.Max(widths))]--
	}
	for _, row := range r {
		var line strings.Builder
		for i, width := range widths {
			line.WriteString(pad(cut(row[i], width), width+2))
		}
		text := row[last]
		if sum()+utf8.RuneCountInString(text) > screenWidth {
			fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
			line.Reset()
			text = fold(screenWidth, "    ", piece{"  └ ", nil, true}, piece{text: text})
		}
		fmt.Fprintln(w, strings.TrimRight(line.String()+text, " "))
	}
}

// shortIDs returns how many characters tell these ids apart, eight at least.
func shortIDs(ids []string) int {
	for n := 8; n < 36; n++ {
		seen := make(map[string]string, len(ids))
		clash := slices.ContainsFunc(ids, func(id string) bool {
			short := id[:min(n, len(id))]
			other, found := seen[short]
			seen[short] = id
			return found && other != id
		})
		if !clash {
			return n
		}
	}
	return 36
}
