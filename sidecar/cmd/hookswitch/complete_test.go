package main

import (
	"bytes"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// completed returns the words that may stand for the last of the words, which are
// separated by "|".
func completed(t *testing.T, words string) (list []string) {
	t.Helper()
	var out, errs bytes.Buffer
	args := append([]string{"hookswitch", completionWord}, strings.Split(words, "|")...)
	if code := run(t.Context(), args, &out, &errs); code != exitOK {
		t.Errorf("%s: exit %d: %s", words, code, &errs)
	}
	for line := range strings.Lines(out.String()) {
		word, _, found := strings.Cut(line, "\t")
		if !found {
			t.Errorf("%s: a line without a tab: %q", words, line)
		}
		list = append(list, word)
	}
	return list
}

// TestComplete has what can be completed without a sidecar; a script has the rest.
func TestComplete(t *testing.T) {
	t.Setenv("HOOKSWITCH_STORE", "file:"+filepath.Join(t.TempDir(), "data"))
	for words, want := range map[string]string{
		"plug":                                 "plugins",
		"events|":                              "list get payload count types export",
		"events|list|--st":                     "--status",
		"events|list|--status|d":               "done dead discarded",
		"events|list|--status=d":               "--status=done --status=dead --status=discarded",
		"--addr|x|events|list|--status|u":      "unhandled",
		"tail|--status|d":                      "duplicate done dead",
		"tail|-o|":                             "pretty compact json",
		"tail|--no-color|-o|c":                 "compact",
		"keys|dev|-o|":                         "text json",
		"events|list|--type|call.hang":         "call.hangup",
		"events|list|--type|a,call.han":        "a,call.hangup",
		"events|list|--type|messag":            "message.* message.echo message.finalized message.read message.received message.sent messaging-profile.* messaging-profile.spend-limit-reached messaging_hosted_numbers_orders.* messaging_hosted_numbers_orders.created messaging_hosted_numbers_orders.deleted messaging_hosted_numbers_orders.internal_transfer_approval_requested messaging_hosted_numbers_orders.internal_transfer_approved messaging_hosted_numbers_orders.internal_transfer_auto_approved messaging_hosted_numbers_orders.internal_transfer_detected messaging_hosted_numbers_orders.internal_transfer_rejected messaging_hosted_numbers_orders.updated",
		"events|list|--filter|status=de":       "status=dead",
		"events|list|--filter|type=a since=24": "type=a since=24h",
		"events|types|call.hangup|call.hang":   "",
		"wait|call.hang":                       "call.hangup",
		"wait|--type|call.hang":                "call.hangup",
		"wait|-o|":                             "text json",
		"trigger|call.hang":                    "call.hangup",
		"trigger|call.hangup|":                 "",
		"trigger|call.hangup|--tamper|k":       "key",
		"plugins|new|x|--event|call.h":         "call.hangup call.hold",
		"config|docs|--format|":                "md env jsonschema",
		"help|dead-l":                          "dead-letter",
		"help|plugins|l":                       "list logs",
		"completion|f":                         "fish",
		"run|--|":                              "",
		"lint|":                                "",
		"replay|--to|":                         "",
		"nothing|":                             "run dev trigger", // an argument that is wrong
	} {
		got := strings.Join(completed(t, words), " ")
		if got != want && (words != "nothing|" || got != "") {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
}

// TestCompletionIsTrue: a word that is completed is one that the help names.
func TestCompletionIsTrue(t *testing.T) {
	root, _ := newCommand(io.Discard, io.Discard)
	if err := root.Run(t.Context(), []string{"hookswitch"}); err != nil {
		t.Fatal(err)
	}
	var walk func(c *cli.Command, path []string)
	walk = func(c *cli.Command, path []string) {
		for _, f := range c.VisibleFlags() {
			name := f.Names()[0]
			if !slices.Contains([]string{"output", "format", "status", "tamper"}, name) {
				continue
			}
			list := completed(t, strings.Join(append(path[:len(path):len(path)], "--"+name, ""), "|"))
			usage := f.(cli.DocGenerationFlag).GetUsage()
			_, known, _ := strings.Cut(usage, "`")
			for _, word := range list {
				if !strings.Contains(known, word) {
					t.Errorf("%s --%s is completed by %q, and its help says %q", strings.Join(path, " "), name, word, usage)
				}
			}
			if len(list) == 0 {
				t.Errorf("%s --%s is not completed", strings.Join(path, " "), name)
			}
		}
		for _, sub := range c.Commands {
			walk(sub, append(path[:len(path):len(path)], sub.Name))
		}
	}
	walk(root, nil)
}
