package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// eventType is a row of the catalogue, in the words of middleware/events.json,
// which has comments, too. A test compares the two.
type eventType struct {
	Name     string       `json:"name"`
	Product  string       `json:"product"`
	Envelope string       `json:"envelope"`
	Payload  string       `json:"payload"`
	Docs     string       `json:"docs"`
	Signed   string       `json:"signed"`
	Answer   string       `json:"answer"`
	Fields   []eventField `json:"fields,omitempty"`
}

// eventField is a field of a payload.
type eventField struct {
	Path string   `json:"path"`
	JSON []string `json:"json"`
	Go   string   `json:"go"`
}

func eventTypesCommand() *cli.Command {
	return &cli.Command{
		Name: "types", Usage: "list the event types that Telnyx sends, or the fields of some", ArgsUsage: "[NAME...]",
		Description: "A pattern such as 'call.*' lists the names that fit, a NAME shows its fields: where\n" +
			"each is in the payload, the types of JSON it is sent as, and its Go type. Requests are\n" +
			"signed with Ed25519, and no answer is read, unless a line says otherwise. The same is\n" +
			"in middleware/EVENTS.md and, for programs, middleware/events.json.\n\n" +
			"To count the events that are stored by type, use \"hookswitch events count\".",
		Flags: []cli.Flag{outputFlag()},
		OnUsageError: func(_ context.Context, c *cli.Command, err error, _ bool) error {
			return usageError("%w; to count stored events by type, use \"hookswitch events count\"", mistake(c, err))
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if err := checkOutput(c); err != nil {
				return err
			}
			list, err := eventTypesOf(c.Args().Slice())
			if err != nil {
				return err
			}
			return show(c, list, func(w io.Writer) { printEventTypes(w, newPalette(c), list) })
		},
		ShellComplete: func(_ context.Context, c *cli.Command) {
			fmt.Fprintln(c.Root().Writer, strings.Join(event.Names(), "\n"))
		},
	}
}

// eventTypesOf returns the rows of patterns, and those of names with fields.
func eventTypesOf(args []string) (list []eventType, err error) {
	if len(args) == 0 {
		args = []string{"*"}
	}
	for _, arg := range args {
		if err := event.CheckPattern(arg); err != nil {
			return nil, usageError("%w", err)
		}
		if name := event.Canonical(arg); !strings.Contains(arg, "*") {
			if _, known := event.Lookup(name); !known {
				return nil, noEventType(arg)
			}
			if !slices.ContainsFunc(list, func(t eventType) bool { return t.Name == name && t.Fields != nil }) {
				list = append(list, describe(name, true))
			}
			continue
		}
		found := false
		for _, name := range event.Names() {
			if !event.Match(arg, name) {
				continue
			}
			found = true
			if !slices.ContainsFunc(list, func(t eventType) bool { return t.Name == name && t.Fields == nil }) {
				list = append(list, describe(name, false))
			}
		}
		if !found {
			return nil, noEventType(arg)
		}
	}
	return list, nil
}

func describe(name string, fields bool) eventType {
	info, _ := event.Lookup(name)
	t := eventType{
		Name: name, Product: info.Product, Envelope: info.Envelope, Payload: info.Payload.String(),
		Docs: info.Docs, Signed: info.Signature, Answer: info.Answer,
	}
	if fields {
		for _, f := range event.Fields(name) {
			t.Fields = append(t.Fields, eventField{f.Path, f.JSON, f.GoName()})
		}
	}
	return t
}

// noEventType says what may have been meant.
func noEventType(name string) error {
	return &exitError{exitNothing, fmt.Errorf("cannot show %s", spelling.EventType(name))}
}

// printEventTypes prints the names of each product and page, and then those
// whose fields were asked for.
func printEventTypes(w io.Writer, p palette, list []eventType) {
	var names []eventType
	for _, t := range list {
		if t.Fields == nil {
			names = append(names, t)
		}
	}
	sort.SliceStable(names, func(i, j int) bool {
		a, b := names[i], names[j]
		return a.Product < b.Product || a.Product == b.Product && a.Docs < b.Docs
	})
	for i := 0; i < len(names); {
		if i > 0 {
			fmt.Fprintln(w)
		}
		first := names[i]
		fmt.Fprintln(w, strings.TrimSpace(p.bold(first.Product)+"  "+p.faint(docsOf(first))))
		var group rows
		for ; i < len(names) && names[i].Product == first.Product && names[i].Docs == first.Docs; i++ {
			group = append(group, []string{"  " + names[i].Name, names[i].Payload + ", " + notes(names[i])})
		}
		group.print(w)
	}
	for i, t := range list {
		if t.Fields == nil {
			continue
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		anchor := strings.ToLower(strings.ReplaceAll(t.Payload, ".", ""))
		fmt.Fprintf(w, "%s\n%s, %s\n%s\n%s\nwhat the fields mean: %s#%s\n", p.bold(t.Name), t.Product, t.Payload, notes(t), docsOf(t), fieldsPage, anchor)
		var fields rows
		for _, f := range t.Fields {
			text := strings.Join(f.JSON, " or ")
			if f.Go != text {
				text += ", " + f.Go
			}
			fields = append(fields, []string{"  " + f.Path, text})
		}
		if len(fields) > 0 { // a payload that is not a struct has none
			fields.print(w)
		}
	}
}

// fieldsPage has the comments of the fields.
const fieldsPage = "https://github.com/hookswitch/hookswitch/blob/main/middleware/EVENTS.md"

func docsOf(t eventType) string { return cmp.Or(t.Docs, "no page describes it") }

// notes says how an event comes.
func notes(t eventType) string {
	text := "envelope " + t.Envelope
	if t.Signed != event.SignedEd25519 {
		text += ", signed with " + t.Signed + ": cannot be received"
	}
	if t.Answer != "" {
		text += ", wants an answer in " + t.Answer
	}
	return text
}
