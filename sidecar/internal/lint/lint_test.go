package lint_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/lint"
)

// TestApps: in five programs every handler that waits for ever is found, and
// nothing else. Each has a line with what to use instead in a comment.
func TestApps(t *testing.T) {
	mark := regexp.MustCompile(`(?://|#) WRONG (\S+)$`)
	for _, app := range []string{"flask", "express", "laravel", "sinatra", "gin"} {
		t.Run(app, func(t *testing.T) {
			dir := filepath.Join("testdata", "apps", app)
			want := make(map[[2]any]string)
			err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				line := 0
				for l := range bytes.Lines(text) {
					line++
					if m := mark.FindSubmatch(bytes.TrimSpace(l)); m != nil {
						want[[2]any{path, line}] = string(m[1])
					}
				}
				return err
			})
			if err != nil || len(want) < 4 {
				t.Fatalf("%d marks, %v", len(want), err)
			}
			report, err := lint.Run(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				place := [2]any{f.File, f.Line}
				if use, ok := want[place]; !ok {
					t.Errorf("false alarm: %s:%d: %v", f.File, f.Line, f)
				} else if use != f.Use {
					t.Errorf("%s:%d: %v, want %s", f.File, f.Line, f, use)
				}
				delete(want, place)
			}
			for place, use := range want {
				t.Errorf("%v: nothing about %s", place, use)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEveryNeverSentName is found, with what to use instead.
func TestEveryNeverSentName(t *testing.T) {
	for _, name := range event.Misnomers() {
		name = strings.Replace(name, "*", "changed", 1)
		use, _ := event.Misnomer(name)
		file := filepath.Join(t.TempDir(), "telnyx.py")
		write(t, file, "if event_type == '"+name+"':\n")
		report, err := lint.Run(t.Context(), file)
		want := lint.Finding{File: file, Line: 1, Column: 18, Name: name, Use: use, Kind: lint.Never}
		if err != nil || len(report.Findings) != 1 || report.Findings[0] != want {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}

// TestNoEventTypeIsCalledWrong: what Telnyx sends is never found, nor the fields
// of a payload.
func TestNoEventTypeIsCalledWrong(t *testing.T) {
	var code strings.Builder
	code.WriteString("import telnyx\nwebhook_urls = {'call.hangup': [url], 'call.bridge': [url]} # of a command\n")
	for _, name := range event.Names() {
		code.WriteString("if event_type == '" + name + "': pass\n")
		for _, f := range event.Fields(name) {
			code.WriteString("if field == '" + f.Path + "': pass\n")
		}
	}
	file := filepath.Join(t.TempDir(), "all.py")
	write(t, file, code.String())
	report, err := lint.Run(t.Context(), file)
	if err != nil || report.Files != 1 || len(report.Findings) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestOtherVendorsAreLeftAlone: some have events of the same names.
func TestOtherVendorsAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"mail/hooks.js":     "if (event.type === 'email.expired') {}\nif (event.type === 'email.sent') {}\n",
		"mail/package.json": "{}\n",
		"phone/a/b.js":      "// Telnyx\nif (event.type === 'message.failed') {}\n",
		"phone/a/c/go.mod":  "module c\n",
		"phone/a/c/sms.js":  "// Telnyx\nif (event.type === 'message.failed') {}\n",
		"phone/go.mod":      "module phone\n",
		"phone/hooks.js":    "// OpenPhone\nif (event.type === 'message.delivered') {}\nif (event.type === 'message.received') {}\n",
		"phone/sms.js":      "// Telnyx\nif (event.type === 'message.failed') {}\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	report, err := lint.Run(t.Context(), dir)
	var found []string
	for _, f := range report.Findings {
		name, _ := filepath.Rel(dir, f.File)
		found = append(found, filepath.ToSlash(name))
	}
	if diff := cmp.Diff([]string{"phone/a/b.js", "phone/a/c/sms.js", "phone/sms.js"}, found); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestOwnEvents: a program may turn events of Telnyx into its own, of the same
// names. Its handlers of these are right, those of Telnyx's are not.
func TestOwnEvents(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"package.json": "{}\n",
		"hook.js": `// Telnyx
switch (t) {
case 'message.finalized':
case 'message.delivered': // WRONG
	bus.emit('message.delivered', { type: 'message.sent' })
}
const own = { 'message.sent': archive, 'message.delivered': archive }
const theirs = { 'message.received': reply, 'message.delivered': archive } // WRONG
`,
		"own.js": `// what is made of the events of Telnyx
switch (own.type) {
case 'message.sent':
case 'message.delivered':
}
if (own.type === 'message.delivered') archive()
own.on('message.delivered', archive)
`,
		"columns.js": "// as Telnyx has them\nconst columns = { 'message.failed': { hidden: true }, 'message.text': {} }\n",
		"later.js":   "if (own.type === 'message.finalized' || own.type === 'message.delivered') archive()\n",
		"typed.js":   "let t = e.event_type\nif (t === 'message.finalized' || t === 'message.delivered') archive() // WRONG\n",
		"old.js":     "// Telnyx\nif (t === 'message.finalized' || t === 'message.delivered') archive() // WRONG\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	report, err := lint.Run(t.Context(), dir)
	var found []string
	for _, f := range report.Findings {
		found = append(found, fmt.Sprint(filepath.Base(f.File), ":", f.Line))
	}
	if diff := cmp.Diff([]string{"hook.js:4", "hook.js:8", "old.js:2", "typed.js:2"}, found); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestNamesOfVersion1 are right in a program for version 1, and beside the new
// name; alone in a program for version 2 they are not.
func TestNamesOfVersion1(t *testing.T) {
	v1 := "telnyx\nif t == 'call_initiated' or t == 'call_hangup': pass\n"
	for code, want := range map[string]int{
		v1: 0,
		v1 + strings.Repeat("\n", 5) + "if t == 'call.answered': pass\n":                           2,
		v1 + strings.Repeat("\n", 5) + "if t == 'message.received': pass\n":                        0,
		v1 + "if t == 'call.initiated': pass\n":                                                    1,
		"telnyx\nx = {'call_initiated': 1}\n\n\n\n\nif t == 'call.answered': pass\n":               0,
		"telnyx\nif payload['status'] == 'call_hangup': pass\n\n\n\nif t == 'call.answered': pass": 0,
		"telnyx\nif t in {'call_hangup', 'call.hangup'}: pass\nif t == 'call.answered': pass":      0,
	} {
		file := filepath.Join(t.TempDir(), "a.py")
		write(t, file, code)
		report, err := lint.Run(t.Context(), file)
		if err != nil || len(report.Findings) != want {
			t.Errorf("%q: %v, %v, want %d", code, report, err, want)
		}
	}
}
