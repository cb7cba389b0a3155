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
		tabs := tabwriter.NewWriter(c.Writer, 0, 0, 2, ' ', 0) // aligns columns separated by tabs
		table(&sheet{tabs, widthOf(c.Writer)})
		return tabs.Flush()
	}
	return checkOutput(c)
}

// sheet is what a table is printed on.
type sheet struct {
	io.Writer
	width int
}

const (
	noLimit   = 1 << 20 // the width of what is not a screen: nothing is cut for it
	narrowest = 40
)

// widthOf returns how many columns an output has: those of a terminal, or noLimit for
// a file or another program.
func widthOf(w io.Writer) int {
	switch w := w.(type) {
	case *sheet:
		return w.width
	case *outlet:
		switch {
		case !w.tty:
			return noLimit
		case w.wide > 0:
			return max(narrowest, w.wide)
		}
	}
	return screenWidth
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

// rows is a table. The last column is text: where it does not fit into 80 columns, or
// those of the screen, it goes on lines of its own. On a screen, wide columns before it
// are cut; elsewhere nothing is.
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
	screen := widthOf(w)
	line := screen
	if screen == noLimit {
		line = screenWidth
	}
	for sum() > screen {
		widths[slices.Index(widths, slices.Max(widths))]--
	}
	for _, row := range r {
		var cells strings.Builder
		for i, width := range widths {
			cells.WriteString(pad(cut(row[i], width), width+2))
		}
		text := row[last]
		if text != "" && sum()+utf8.RuneCountInString(text) > line {
			fmt.Fprintln(w, strings.TrimRight(cells.String(), " "))
			cells.Reset()
			text = fold(line, "    ", piece{"  └ ", nil, true}, piece{text: text})
		}
		fmt.Fprintln(w, strings.TrimRight(cells.String()+text, " "))
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
