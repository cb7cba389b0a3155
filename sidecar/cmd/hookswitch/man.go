package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"
)

// manCommand prints the manual page. It is made of the same texts as the help, when
// a package is made; nothing is written by hand.
func manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the manual page: all of the help in one",
		Action: func(_ context.Context, c *cli.Command) error {
			printManual(c.Writer, c.Root())
			return nil
		},
	}
}

// roff writes a manual page in the macros of man(7).
type roff struct{ w io.Writer }

var roffSigns = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\[u2026]`, "→", `\[->]`)

// text escapes what roff would take for something else, and keeps lines.
func (r roff) text(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		line = roffSigns.Replace(line)
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		fmt.Fprintln(r.w, line)
	}
}

func (r roff) macro(name, text string) {
	fmt.Fprintln(r.w, strings.TrimRight("."+name+" "+strings.ReplaceAll(roffSigns.Replace(text), `"`, `\(dq`), " "))
}

// item is a name, and what it means.
func (r roff) item(name, meaning string) {
	r.macro("TP", "")
	r.macro("B", name)
	r.text(meaning)
}

// verbatim keeps lines as they are.
func (r roff) verbatim(text string) {
	r.macro("PP", "")
	r.macro("nf", "")
	r.macro("RS", "4")
	r.text(text)
	r.macro("RE", "")
	r.macro("fi", "")
}

// prose writes a description as the help does: what is indented is kept.
func (r roff) prose(text string) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		head, list, _ := strings.Cut(paragraph, "\n ")
		if strings.HasPrefix(paragraph, "#") || strings.HasPrefix(paragraph, " ") {
			r.verbatim(paragraph)
			continue
		}
		r.macro("PP", "")
		r.text(head)
		if list != "" {
			r.verbatim(strings.ReplaceAll(strings.TrimPrefix(list, " "), "\n  ", "\n"))
		}
	}
}

func printManual(w io.Writer, root *cli.Command) {
	r := roff{w}
	fmt.Fprintf(w, ".\\\" Made by \"hookswitch man\".\n.TH HOOKSWITCH 1 \"\" \"hookswitch %s\" \"User Commands\"\n", roffSigns.Replace(version))
	r.macro("SH", "NAME")
	r.text("hookswitch - " + root.Usage)
	r.macro("SH", "SYNOPSIS")
	r.macro("B", "hookswitch")
	r.text("[global options] command [options] [arguments]")
	r.macro("SH", "DESCRIPTION")
	r.text("Receives the webhooks of Telnyx: verifies and stores them, answers, and delivers them to plugins and to an app by HTTP, with retries.")
	r.text("\"hookswitch dev\" needs no configuration, \"hookswitch run\" is for production, and the other commands look at a sidecar that runs.")
	r.macro("SH", "COMMANDS")
	for _, c := range root.VisibleCommands() {
		manualOf(r, c)
	}
	r.macro("SH", "GLOBAL OPTIONS")
	for _, row := range flagLines(root.VisibleFlags(), root) {
		r.item(row[0], row[1])
	}
	r.macro("SH", "EXIT STATUS")
	for line := range strings.Lines(exitCodes) {
		if code, meaning, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Trim(code, "0123456789") == "" {
			r.item(code, strings.TrimSpace(meaning))
		} else {
			r.text(strings.TrimSpace(line))
		}
	}
	r.macro("SH", "ENVIRONMENT")
	r.text("The sidecar is configured by variables: \"hookswitch config docs\" describes all of them, and \"hookswitch config show\" says which are in effect.")
	r.macro("SH", "FILES")
	r.item(".hookswitch", "the data directory, unless HOOKSWITCH_STORE names another: events, keys, and while a sidecar runs its addresses")
	r.item("plugins", "the programs in it are started as plugins, unless HOOKSWITCH_PLUGIN_DIR names another folder")
	r.item("/etc/hookswitch/hookswitch.env", "the variables of the service that packages install")
	r.item(serviceSocket, "where commands find that service")
}

// manualOf describes a command, and then its commands.
func manualOf(r roff, c *cli.Command) {
	if c.Name == "help" && c.FullName() != "hookswitch help" {
		return
	}
	r.macro("SS", usageLine(c))
	r.text(strings.ToUpper(c.Usage[:1]) + c.Usage[1:] + ".")
	if c.Description != "" {
		r.prose(strings.ReplaceAll(c.Description, "$COMMAND", c.Root().Name))
	}
	if list := examples[words(c)]; len(list) > 0 && !strings.Contains(c.Description, "Examples:") {
		r.verbatim(strings.Join(list, "\n"))
	}
	for _, row := range flagLines(c.VisibleFlags(), c) {
		r.item(row[0], row[1])
	}
	for _, sub := range c.VisibleCommands() {
		manualOf(r, sub)
	}
}
