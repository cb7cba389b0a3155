package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// screenWidth is the width that every output fits into.
const screenWidth = 80

// paint colours a text, or does not.
type paint func(...any) string

// palette has the colours of an output.
type palette struct {
	green, red, yellow, bold, faint paint
}

// newPalette returns the colours for a command's output: on a terminal, unless
// NO_COLOR, FORCE_COLOR or --no-color say otherwise.
func newPalette(c *cli.Command) palette { return paletteOf(c, c.Writer) }

// paletteOf returns the colours for one of a command's outputs.
func paletteOf(c *cli.Command, w io.Writer) palette {
	o, ok := w.(*outlet)
	if !ok || c.Bool("no-color") || !wantsColor(o, variables(config.Environ())) {
		return palette{fmt.Sprint, fmt.Sprint, fmt.Sprint, fmt.Sprint, fmt.Sprint}
	}
	return palette{green: o.paint('g'), red: o.paint('r'), yellow: o.paint('y'), bold: o.paint('b'), faint: o.paint('f')}
}

// wantsColor decides by no-color.org and force-color.org, and then by whether w
// is a terminal.
func wantsColor(w io.Writer, env map[string]string) bool {
	if env["NO_COLOR"] != "" {
		return false
	}
	if force := env["FORCE_COLOR"]; force != "" {
		return force != "0" && force != "false"
	}
	return isTerminal(w) && env["TERM"] != "dumb"
}

func isTerminal(w io.Writer) bool {
	switch w := w.(type) {
	case *outlet:
		return w.tty
	case *os.File:
		return isatty.IsTerminal(w.Fd())
	}
	return false
}

// variables returns an environment by name.
func variables(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	return env
}

// piece is a part of a line, in one colour.
type piece struct {
	text  string
	paint paint // nil: plain
	whole bool  // never broken: a command that can be copied
}

// fold sets pieces one after the other in lines of at most width columns.
// Further lines begin with an indent. Words are kept whole: an id or a URL can
// be copied. A line feed in a piece is a space.
func fold(width int, indent string, pieces ...piece) string {
	var out strings.Builder
	column, pending := 0, ""
	for _, p := range pieces {
		words := []string{oneLine(p.text)}
		if !p.whole {
			words = strings.SplitAfter(words[0], " ")
		}
		for _, word := range words {
			bare := strings.TrimRight(word, " ")
			if bare == "" {
				pending += word
				continue
			}
			n := utf8.RuneCountInString(bare)
			if column > 0 && column+len(pending)+n > width {
				out.WriteString("\n" + indent)
				column, pending = len(indent), ""
			}
			out.WriteString(pending)
			if column += len(pending) + n; p.paint != nil {
				bare = p.paint(bare)
			}
			out.WriteString(bare)
			pending = word[len(strings.TrimRight(word, " ")):]
		}
	}
	return out.String()
}

// pad fills a text up to n characters.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

// roundDuration makes a duration readable: three digits below a minute, otherwise
// whole seconds.
func roundDuration(d time.Duration) time.Duration {
	for unit := time.Microsecond; unit < time.Second; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Second)
}
