package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// exitCodes is the part of "hookswitch help" about exit codes, for scripts and
// service managers.
const exitCodes = `  0    success
  1    failure; wait: the event did not come
  2    the command line is wrong
  3    nothing matches, or nothing has this id
  4    the signature is invalid (verify)
  69   the sidecar, or the receiver, does not answer
  78   the configuration is wrong
  130  interrupted: run and dev by the second Ctrl-C; replay, trigger and other
       commands that wait by the first
`

// examples are shown in the help of a command, by its name. They are run, or
// at least parsed, by a test.
var examples = map[string][]string{
	"hookswitch": {"hookswitch dev --forward-to http://127.0.0.1:5000/webhooks"},
	"run": {
		"TELNYX_PUBLIC_KEY=… HOOKSWITCH_FORWARD_TO=http://127.0.0.1:5000 hookswitch run",
		"hookswitch run -- gunicorn app:app --bind 127.0.0.1:5000",
	},
	"dev": {"hookswitch dev --forward-to http://127.0.0.1:5000/webhooks"},
	"trigger": {"hookswitch trigger message.received --set payload.text='hi there'",
		"hookswitch trigger call.hangup --count 1000 --rate 50/s",
		"hookswitch trigger message.received --tamper body"},
	"wait": {"hookswitch wait --type call.hangup --match call_control_id=v3:abc",
		"hookswitch wait --type 'message.*' --since 10s --timeout 2m -o json | jq .body"},
	"verify":          {"hookswitch verify --event r_k3v9w2hc7q"},
	"lint":            {"hookswitch lint src", "hookswitch lint -o json | jq '.findings[].file'"},
	"doctor":          {"hookswitch doctor app 5000/webhooks"},
	"doctor app":      {"hookswitch doctor app http://localhost:5000/webhooks", "hookswitch doctor app 5000/webhooks -- node app.mjs"},
	"tail":            {"hookswitch tail --type 'call.*' --status failed"},
	"status":          {"hookswitch status -o json"},
	"health":          {"hookswitch health && echo ready"},
	"alert":           {"hookswitch alert test"},
	"alert test":      {"hookswitch alert test"},
	"backup":          {"hookswitch backup /var/backups/hookswitch-2026-11-27"},
	"restore":         {"hookswitch restore /var/backups/hookswitch-2026-11-27"},
	"diag":            {"hookswitch diag", "hookswitch diag --log /var/log/hookswitch.log --file -"},
	"version":         {"hookswitch version -o json"},
	"man":             {"hookswitch man | man -l -"},
	"completion":      {"source <(hookswitch completion bash)"},
	"completion bash": {"source <(hookswitch completion bash)"},
	"completion zsh":  {"source <(hookswitch completion zsh)"},
	"completion fish": {"hookswitch completion fish > ~/.config/fish/completions/hookswitch.fish"},
	"completion pwsh": {"hookswitch completion pwsh > hookswitch.ps1"},

	"keys":         {"hookswitch keys forward --export"},
	"keys forward": {"eval \"$(hookswitch keys forward --export)\""},
	"keys dev":     {"hookswitch keys dev"},

	"config":       {"hookswitch config check"},
	"config check": {"hookswitch --env-file production.env config check"},
	"config show":  {"hookswitch config show -o json"},
	"config docs":  {"hookswitch config docs --format env > hookswitch.env"},

	"events":         {"hookswitch events list --status dead --since 1h"},
	"events list":    {"hookswitch events list --type 'message.*' --status retrying"},
	"events get":     {"hookswitch events get 86f58db9"},
	"events payload": {"hookswitch events payload 86f58db9 > body.json"},
	"events export":  {"hookswitch events export --since 24h > events.jsonl"},
	"events count":   {"hookswitch events count --since 24h"},
	"events types":   {"hookswitch events types 'message.*'", "hookswitch events types call.hangup -o json"},

	"replay":        {"hookswitch replay --filter 'status=dead since=2h' --dry-run", "hookswitch replay 86f58db9 --to plugin:crm"},
	"replay list":   {"hookswitch replay list"},
	"replay status": {"hookswitch replay status 01a2132d"},
	"replay cancel": {"hookswitch replay cancel 01a2132d"},

	"retry":        {"hookswitch retry --status retrying", "hookswitch retry --target forward:default --dry-run"},
	"dead":         {"hookswitch dead groups"},
	"dead list":    {"hookswitch dead list --target forward:default"},
	"dead groups":  {"hookswitch dead groups --since 24h"},
	"dead requeue": {"hookswitch dead requeue --type message.finalized --rate 20/s"},
	"dead discard": {"hookswitch dead discard --type 'call.*' --dry-run"},

	"plugins":       {"hookswitch plugins list"},
	"plugins list":  {"hookswitch plugins list -o json"},
	"plugins info":  {"hookswitch plugins info archive"},
	"plugins logs":  {"hookswitch plugins logs sms-to-crm --follow"},
	"plugins check": {"hookswitch plugins check ./out/hookswitch-plugin-crm"},
	"plugins test":  {"hookswitch plugins test ./out/hookswitch-plugin-crm --event message.received"},

	"plugins reload":   {"hookswitch plugins reload sms-to-crm"},
	"plugins enable":   {"hookswitch plugins enable sms-to-crm"},
	"plugins disable":  {"hookswitch plugins disable sms-to-crm"},
	"plugins rollback": {"hookswitch plugins rollback sms-to-crm"},

	"plugins new": {"hookswitch plugins new sms-to-crm --event message.received",
		"hookswitch plugins new call-log --lang python --event 'call.*'"},
	"plugins verify": {"hookswitch plugins verify ./out/hookswitch-plugin-crm", "hookswitch plugins verify plugins/optout.plugin.json"},

	"config reload": {"hookswitch config reload"},

	"help": {"hookswitch help dead-letter"},
}

// helpCommand replaces the library's, which only knows commands.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Aliases: []string{"h"}, HideHelpCommand: true, ArgsUsage: "[COMMAND | CODE | codes]",
		Usage: "show the help of a command, or explain a log code",
		Action: func(_ context.Context, c *cli.Command) error {
			topic := c.Args().First()
			codes := telemetry.Codes()
			i := slices.IndexFunc(codes, func(info telemetry.CodeInfo) bool { return string(info.Code) == topic })
			switch {
			case topic == "codes":
				listCodes(helpText{c.Writer}, codes)
				return nil
			case i >= 0:
				explainCode(helpText{c.Writer}, codes[i])
				return nil
			}
			about := c.Root()
			for _, name := range c.Args().Slice() {
				next := about.Command(name)
				if next == nil {
					return unknownTopic(about, name, codes)
				}
				about = next
			}
			printHelp(c.Writer, "", about)
			return nil
		},
		ShellComplete: func(_ context.Context, c *cli.Command) {
			if c.Args().Present() {
				return
			}
			for _, sub := range c.Root().VisibleCommands() {
				fmt.Fprintf(c.Writer, "%s:%s\n", sub.Name, sub.Usage)
			}
			fmt.Fprintln(c.Writer, "codes:list the log codes")
			for _, info := range telemetry.Codes() {
				fmt.Fprintf(c.Writer, "%s:%s\n", info.Code, info.What)
			}
		},
	}
}

func listCodes(h helpText, codes []telemetry.CodeInfo) {
	h.line("The values of \"code\" in the log. hookswitch help CODE explains one.")
	for len(codes) > 0 {
		section := codes[0].Section
		var rows [][2]string
		for ; len(codes) > 0 && codes[0].Section == section; codes = codes[1:] {
			rows = append(rows, [2]string{string(codes[0].Code), codes[0].What})
		}
		h.columns(strings.ToUpper(section), rows)
	}
}

func explainCode(h helpText, info telemetry.CodeInfo) {
	h.line("%s - a log code", info.Code)
	for _, part := range [][2]string{{"WHAT", info.What}, {"WHY", info.Why}, {"FIX", info.Fix}} {
		h.line("\n%s\n%s", part[0], fold(screenWidth, "  ", piece{"  ", nil, true}, piece{text: part[1]}))
	}
}

// unknownTopic suggests what may have been meant: a command, or at the root a
// code.
func unknownTopic(c *cli.Command, name string, codes []telemetry.CodeInfo) error {
	if c != c.Root() {
		return unknownCommand(c, name)
	}
	names := subcommands(c)
	for _, info := range codes {
		names = append(names, string(info.Code))
	}
	return usageError("there is no command and no code %q: %s", name,
		meant(name, names, "\"hookswitch help\" lists the commands, \"hookswitch help codes\" the log codes"))
}

// printHelp writes the help of a command. It replaces the library's template,
// which does not keep to 80 columns.
func printHelp(w io.Writer, _ string, data any) {
	c, ok := data.(*cli.Command)
	if !ok {
		return
	}
	h := helpText{w: w}
	h.line("%s", fold(screenWidth, "  ", piece{text: c.FullName() + " - " + c.Usage}))
	h.section("USAGE", usageLine(c))
	if c.Description != "" {
		h.prose("DESCRIPTION", strings.TrimSpace(strings.ReplaceAll(c.Description, "$COMMAND", c.Root().Name)))
	}
	name := strings.TrimPrefix(strings.TrimPrefix(c.FullName(), c.Root().Name), " ")
	if list := examples[cmp.Or(name, c.Name)]; len(list) > 0 && !strings.Contains(c.Description, "Examples:") {
		h.section("EXAMPLES", strings.Join(list, "\n"))
	}
	var commands [][2]string
	for _, sub := range c.VisibleCommands() {
		if sub.Name != "help" {
			commands = append(commands, [2]string{sub.Name, sub.Usage})
		}
	}
	h.columns("COMMANDS", commands)
	h.columns("OPTIONS", flagLines(c.VisibleFlags(), c))
	if c != c.Root() {
		h.columns("GLOBAL OPTIONS", flagLines(c.VisiblePersistentFlags(), nil))
		return
	}
	h.line("\nEXIT CODES")
	fmt.Fprint(w, exitCodes)
	h.line("\nhookswitch help COMMAND explains a command, hookswitch help CODE a log code;")
	h.line("hookswitch help codes lists those.")
}

// usageLine returns how a command is written.
func usageLine(c *cli.Command) string {
	line := c.FullName()
	if len(c.VisibleFlags()) > 0 || c != c.Root() {
		line += " [options]"
	}
	if len(c.VisibleCommands()) > 1 {
		line += " [command]"
	}
	if c.ArgsUsage != "" {
		line += " " + c.ArgsUsage
	}
	return line
}

type helpText struct{ w io.Writer }

func (h helpText) line(format string, args ...any) { fmt.Fprintf(h.w, format+"\n", args...) }

// section prints a text, breaking lines that are too long.
func (h helpText) section(title, text string) {
	h.line("\n%s", title)
	for line := range strings.SplitSeq(text, "\n") {
		h.line("%s", strings.TrimRight(fold(screenWidth, "      ", piece{"  ", nil, true}, piece{text: line}), " "))
	}
}

// prose prints a text, breaking its lines anew. Paragraphs that are indented, or
// begin with "#", are commands and stay as they are.
func (h helpText) prose(title, text string) {
	h.line("\n%s", title)
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			h.line("")
		}
		heading, rest, _ := strings.Cut(paragraph, "\n ") // Examples:, and an indented list
		if strings.HasPrefix(paragraph, "#") || strings.HasPrefix(paragraph, " ") {
			heading, rest = "", paragraph
		} else if rest != "" {
			rest = " " + rest
		}
		if heading != "" {
			h.line("%s", fold(screenWidth, "  ", piece{"  ", nil, true}, piece{text: strings.ReplaceAll(heading, "\n", " ")}))
		}
		for line := range strings.Lines(rest) {
			h.line("  %s", strings.TrimRight(line, "\n"))
		}
	}
}

// columns prints names and their meanings.
func (h helpText) columns(title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	h.line("\n%s", title)
	wide := 0
	for _, row := range rows {
		if n := utf8.RuneCountInString(row[0]); n <= 28 {
			wide = max(wide, n)
		}
	}
	indent := strings.Repeat(" ", wide+4)
	for _, row := range rows {
		head := "  " + pad(row[0], wide+2)
		if utf8.RuneCountInString(row[0]) > wide {
			h.line("  %s", row[0])
			head = indent
		}
		h.line("%s", fold(screenWidth, indent, piece{head, nil, true}, piece{text: row[1]}))
	}
}

// flagLines returns flags and their meanings. Those of the root are global: they
// are shown once.
func flagLines(flags []cli.Flag, c *cli.Command) (rows [][2]string) {
	for _, f := range flags {
		if c != nil && c != c.Root() && slices.Contains(c.VisiblePersistentFlags(), f) || f.Names()[0] == "help" {
			continue
		}
		// The library writes "--name VALUE, -n VALUE", a tab, and the text.
		names, text, _ := strings.Cut(f.String(), "\t")
		names, _, _ = strings.Cut(names, " [ ") // it may be repeated
		rows = append(rows, [2]string{strings.TrimSpace(names), strings.TrimSpace(text)})
	}
	return rows
}

// finish sets up what all commands of a tree share: usage errors that name a way
// out, suggestions, and that only those take arguments whose help names them.
func finish(c *cli.Command, notFound func(error)) {
	if c.OnUsageError == nil {
		c.OnUsageError = onUsageError
	}
	c.CommandNotFound = func(_ context.Context, c *cli.Command, name string) {
		if c.ArgsUsage != "" { // an argument before --help, which the library takes for a command
			printHelp(c.Root().Writer, "", c)
			return
		}
		notFound(unknownCommand(c, name))
	}
	if c.Action == nil && len(c.Commands) > 0 {
		c.Action = func(ctx context.Context, c *cli.Command) error {
			if name := c.Args().First(); name != "" {
				return unknownCommand(c, name)
			}
			return cli.ShowSubcommandHelp(c)
		}
	}
	if do := c.Action; c.ArgsUsage == "" && len(c.Commands) == 0 {
		c.Action = func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usageError("%s takes no argument %q", words(c), c.Args().First())
			}
			return do(ctx, c)
		}
	}
	for _, sub := range c.Commands {
		finish(sub, notFound)
	}
}
