package main

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// libraryWords are those of Go and of the library for command lines.
var libraryWords = regexp.MustCompile(`strconv|parse|syntax|provided|flag -[a-z]|invalid value|hookswitch: hookswitch`)

// TestEveryFlagRefuses: whatever the command, a flag that is not there, a flag
// without its value and a value that cannot be one are exit code 2, and the flag is
// named as it is typed.
func TestEveryFlagRefuses(t *testing.T) {
	t.Setenv("HOOKSWITCH_STORE", "file:"+filepath.Join(t.TempDir(), "data"))
	try := func(args []string, says string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(t.Context(), args, &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), says) || libraryWords.MatchString(errs.String()) {
			t.Errorf("%q: exit %d, want %d, and %q in:\n%s", args, code, exitUsage, says, &errs)
		}
	}
	var walk func(c *cli.Command, path []string)
	walk = func(c *cli.Command, path []string) {
		add := func(words ...string) []string { return slices.Concat(path, words) }
		try(add("--xyzzy"), "there is no flag --xyzzy")
		for _, f := range slices.Concat(c.VisibleFlags(), c.VisiblePersistentFlags()) {
			for _, name := range f.Names() {
				switch name = dashed(name); f.(type) {
				case *cli.IntFlag:
					try(add(name, "many"), name+`: "many" is not a whole number`)
				case *cli.DurationFlag:
					try(add(name, "soon"), name+`: "soon" is not a duration`)
				case *cli.BoolFlag:
					if !strings.Contains(name, "help") && name != "-h" {
						try(add(name+"=perhaps"), name+`: "perhaps" must be true or false`)
					}
					continue
				}
				try(add(name), name+" needs a value")
			}
		}
		for _, sub := range c.Commands {
			if sub.Name != "help" && c.Name != "completion" {
				walk(sub, add(sub.Name))
			}
		}
	}
	root, _ := newCommand(io.Discard, io.Discard)
	if err := root.Run(t.Context(), []string{"hookswitch"}); err != nil { // completes the tree
		t.Fatal(err)
	}
	walk(root, []string{"hookswitch"})
}

// TestMistakes are wrong command lines that no sidecar is needed to refuse.
func TestMistakes(t *testing.T) {
	t.Setenv("HOOKSWITCH_STORE", "file:"+filepath.Join(t.TempDir(), "data"))
	for args, says := range map[string]string{
		"events list --sttus dead":              `there is no flag --sttus: did you mean "--status"?`,
		"--adr x status":                        `did you mean "--addr"?`,
		"events types --since 1h":               `"hookswitch events count"`,
		"events list --status ded":              `--status: "ded" must be pending, retrying, done, dead, discarded or unhandled: did you mean "dead"?`,
		"events list --filter status=ded":       `--filter: status: "ded" must be`,
		"events list --filter status":           `--filter: "status": write words like`,
		"events list --since foo":               `--since: "foo" is not a time`,
		"events export --until foo":             `--until: "foo" is not a time`,
		"events count --filter type=a,,b":       "--filter: type: ",
		"dead list --target nope":               `--target: "nope" is not the name of a target`,
		"dead list --limit 0":                   "--limit: give a number of 1 or more",
		"replay --all --to crm":                 `--to: "crm" is not the name of a target: write it like forward:default or plugin:crm`,
		"replay --all --rate 0/s":               "--rate: give a rate above 0",
		"replay lst":                            `there is no command "hookswitch replay lst": did you mean "list"?`,
		"replay":                                "replay: give ids or a filter",
		"replay status":                         "replay status: give the id",
		"events get":                            "events get: give the id",
		"events payload a b":                    "events payload: give the id",
		"plugins info":                          "plugins info: give the name",
		"plugins logs x -n -1":                  "--lines: give a number of 0 or more",
		"plugins logs x -o yaml":                "--output: use table, json or jsonl",
		"plugins test x --event mesage.failed":  "there is no sample for",
		"plugins test x --timeout 0s":           "--timeout: give a time above 0",
		"wait --match text":                     `--match "text": write it as PATH=VALUE`,
		"wait --match a..b=c":                   `--match "a..b=c": write it as PATH=VALUE`,
		"wait --timeout -1s":                    "--timeout: give a time such as 30s, or 0 for no limit",
		"wait --timeout 5":                      "--timeout: ",
		"wait --type a,,b":                      "--type: ",
		"wait a*":                               "wait: ",
		"wait -o table":                         "--output: use text or json",
		"tail --status ded":                     `--status: "ded" must be accepted,`,
		"tail --since foo":                      `--since: "foo" is not a time`,
		"health --url foo":                      `--url "foo" is not a URL: write it like http://127.0.0.1:8080/readyz`,
		"health --timeout -1s":                  "--timeout: give a time above 0",
		"verify --output yaml":                  "--output: use table, json or jsonl",
		"verify --key x":                        "--key: ",
		"help events list x":                    `"hookswitch events list" has no commands, and no "x"`,
		"completion tcsh":                       "no script for",
		"trigger --list x":                      "--list takes no argument",
		"trigger message.received --tamper bdy": `--tamper: did you mean "body"?`,
		"trigger message.received --to x":       `--to "x" is not a URL`,
		"trigger message.received --to 1 --addr http://1.1.1.1": "not both",
		"trigger message.received --addr x":                     "--addr: write it like",
		"config docs --format x":                                "--format: use md, env or jsonschema",
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"hookswitch"}, strings.Fields(args)...), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), says) || libraryWords.MatchString(errs.String()) {
			t.Errorf("%s: exit %d, want %d, and %q in:\n%s", args, code, exitUsage, says, &errs)
		}
	}
}

// TestTypesOnce: a type that is named twice is shown once.
func TestTypesOnce(t *testing.T) {
	list, err := eventTypesOf([]string{"message.received", "call.*", "message.received", "call.hangup", "call.*", "*"})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, one := range list {
		key := one.Name
		if one.Fields != nil {
			key += " with its fields"
		}
		if seen[key]++; seen[key] > 1 {
			t.Errorf("%s is there %d times", key, seen[key])
		}
	}
	if seen["message.received with its fields"] != 1 || seen["call.hangup"] != 1 || seen["call.hangup with its fields"] != 1 {
		t.Errorf("not all are there: %v", seen)
	}
}
