package catalog

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFindProgram: what a command needs and is not there is named, with what to do.
func TestFindProgram(t *testing.T) {
	bin, dir, work := t.TempDir(), t.TempDir(), t.TempDir()
	for _, name := range []string{"python3", "node", "other"} {
		write(t, bin, name, 0o755)
	}
	write(t, dir, "here.py", 0o644)
	write(t, work, "there.py", 0o644)
	for _, tt := range []struct {
		name    string
		command []string
		want    string // of the path, or of the error
	}{
		{"a script that is there", []string{"python3", "here.py"}, filepath.Join(bin, "python3")},
		{"a script where it works", []string{"python3", "there.py"}, filepath.Join(bin, "python3")},
		{"a program that may want a name", []string{"other", "gone.py"}, filepath.Join(bin, "other")},
		{"an option", []string{"python3", "-m", "gone.py"}, filepath.Join(bin, "python3")},
		{"a script that is missing", []string{"python3", "gone.py"},
			`its command names gone.py, and there is no such file in the plugin directory: copy it to ` + dir + `, or correct "command" in crm.plugin.json`},
		{"a path that does not exist", []string{"node", "/gone/crm.mjs"},
			`its command names /gone/crm.mjs, and there is no such file: correct "command" in crm.plugin.json`},
		{"another name", []string{"python", "here.py"}, `nor in PATH (` + bin + `): use "python3" in "command" of crm.plugin.json`},
		{"a program that is missing", []string{"ruby", "here.rb"}, `nor in PATH (` + bin + `): install ruby, or give its full path in "command" of crm.plugin.json`},
		{"a file that is missing", []string{"./run.sh"}, `find the program "./run.sh": there is no such file in the plugin directory: copy it to ` + dir},
		{"a full path that is missing", []string{"/gone/ruby"}, `find the program "/gone/ruby": there is no such file: install it, or correct "command" in crm.plugin.json`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Manifest{Protocol: KindJSONL, Command: tt.command}
			m.resolve(dir)
			e := Entry{Name: "crm", Path: filepath.Join(dir, "crm.plugin.json"), Kind: KindJSONL, Manifest: m}
			path, err := e.FindProgram([]string{"PATH=" + bin}, work)
			if err != nil {
				path = err.Error()
				if explained, ok := errors.AsType[*SpawnError](err); !ok || explained.Problem.Fix == "" {
					t.Errorf("%v has no fix", err)
				}
			}
			if !strings.Contains(path, tt.want) || err == nil && path != tt.want {
				t.Errorf("got %s, want %s", path, tt.want)
			}
		})
	}
}

// TestWhyEnded explains from the files what a process that has ended cannot say.
func TestWhyEnded(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "crm"), []byte("#!/usr/bin/env no-such-python\n"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "fine"), []byte("#!/bin/sh\n"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "foreign"), []byte("\x00asm\x01\x00\x00\x00"), 0o755))
	environ := []string{"PATH=/bin"}
	for _, tt := range []struct {
		entry Entry
		want  string
		sure  bool
	}{
		{Entry{Kind: KindExec, Path: filepath.Join(dir, "crm")}, "install no-such-python", true},
		{Entry{Kind: KindExec, Path: filepath.Join(dir, "fine")}, "", false},
		{Entry{Kind: KindExec, Path: filepath.Join(dir, "foreign")}, "build it with GOOS=", false},
		{Entry{Kind: KindJSONL, Path: filepath.Join(dir, "a.plugin.json"), Manifest: &Manifest{Command: []string{"x", "-v", "gone.mjs"}}}, "copy it to " + dir, true},
		{Entry{Kind: KindJSONL, Path: filepath.Join(dir, "a.plugin.json"), Manifest: &Manifest{Command: []string{"x", "gone.txt"}}}, "", false},
		{Entry{Kind: KindRemote}, "", false},
	} {
		p, sure := tt.entry.WhyEnded(environ, dir)
		if (p == nil) != (tt.want == "") || p != nil && !strings.Contains(p.Fix, tt.want) || sure != tt.sure {
			t.Errorf("%s: %+v, %v; want %q, %v", tt.entry.Path, p, sure, tt.want, tt.sure)
		}
	}
}

// TestLonelyScripts: a script that nothing runs is a plugin without its manifest,
// unless another script may import it.
func TestLonelyScripts(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"optout.py": 0o644, "README.md": 0o644, "run.mjs": 0o644, "lib.mjs": 0o644, "call.rb": 0o755, ".x.py": 0o644} {
		write(t, dir, name, mode)
	}
	check(t, os.WriteFile(filepath.Join(dir, "run.plugin.json"), []byte(`{"protocol":"jsonl","command":["node","run.mjs"],"events":["*"]}`), 0o644))
	l, err := scan(dir, nil, slog.New(slog.DiscardHandler))
	check(t, err)
	if len(l.Plugins) != 1 || len(l.Misfits) != 2 {
		t.Fatalf("%+v", l)
	}
	for i, want := range []string{
		`call.rb: its name "call.rb" may have letters, digits, '_' and '-' only: rename it, or clear its executable bit (chmod -x); or, if it reads lines of JSON, ` +
			`write call.plugin.json beside it: {"protocol": "jsonl", "command": ["ruby", "call.rb"], "events": ["message.received"]}`,
		`optout.py: it is a script without a manifest, so nothing runs it: ` +
			`write optout.plugin.json beside it: {"protocol": "jsonl", "command": ["python3", "optout.py"], "events": ["message.received"]}`,
	} {
		if got := l.Misfits[i].String(); got != filepath.Join(dir, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
