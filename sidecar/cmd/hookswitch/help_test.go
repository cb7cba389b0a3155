package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// TestHelpOfEveryCommand walks the whole tree.
func TestHelpOfEveryCommand(t *testing.T) {
	var walk func(c *cli.Command, path []string)
	walk = func(c *cli.Command, path []string) {
		if c.Name == "help" {
			return
		}
		name := strings.Join(path, " ")
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(path, "--help"), &out, &errs); code != exitOK || errs.Len() > 0 {
			t.Errorf("%s --help: exit %d %s", name, code, &errs)
		}
		text := out.String()
		if c.Usage == "" {
			t.Errorf("%s does not say what it does", name)
		}
		if strings.Count(text, "hookswitch ") < 2 || !strings.Contains(text, "EXAMPLES") && !strings.Contains(text, "Examples:") {
			t.Errorf("%s: no example: add one to examples", name)
		}
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > screenWidth {
				t.Errorf("%s: a line has %d columns: %s", name, n, line)
			}
			if strings.TrimRight(line, " \n")+"\n" != line {
				t.Errorf("%s: a line ends with spaces: %q", name, line)
			}
		}
		for _, flag := range c.VisibleFlags() {
			if f, ok := flag.(cli.DocGenerationFlag); ok && f.GetUsage() == "" {
				t.Errorf("%s: --%s is not explained", name, flag.Names()[0])
			}
		}
		for _, sub := range c.Commands {
			walk(sub, append(path[:len(path):len(path)], sub.Name))
		}
	}
	root, _ := newCommand(io.Discard, io.Discard)
	if err := root.Run(t.Context(), []string{"hookswitch"}); err != nil { // completes the tree
		t.Fatal(err)
	}
	walk(root, []string{"hookswitch"})
	for name := range examples {
		c := root
		for word := range strings.FieldsSeq(strings.TrimPrefix(name, "hookswitch")) {
			if c = c.Command(word); c == nil {
				t.Fatalf("there is an example for %q, and no such command", name)
			}
		}
	}
}

// TestHelpOfEveryCode: whatever code the log has, the program explains it.
func TestHelpOfEveryCode(t *testing.T) {
	topics := []string{"codes"}
	for _, info := range telemetry.Codes() {
		topics = append(topics, string(info.Code))
	}
	for _, topic := range topics {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"hookswitch", "help", topic}, &out, &errs); code != exitOK || errs.Len() > 0 {
			t.Errorf("help %s: exit %d %s", topic, code, &errs)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > screenWidth {
				t.Errorf("help %s: a line has %d columns: %s", topic, n, line)
			}
		}
	}
}

// TestExitCodes has one case for each code of the help but 130, which
// TestInterrupted has, and for a second signal a script.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"HOOKSWITCH_STORE": "file:" + data, "HOOKSWITCH_DATA_DIR": "", "XDG_CACHE_HOME": dir, "HOOKSWITCH_ADMIN_LISTEN": "127.0.0.1:0",
		"TELNYX_PUBLIC_KEY": "eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg=",
	} {
		t.Setenv(name, value)
	}
	saved := filepath.Join(dir, "saved.http")
	if err := os.WriteFile(saved, []byte("POST / HTTP/1.1\r\nA: b\r\n\r\n{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code int
		args string
		says string
	}{
		{exitOK, "version", ""},
		{exitOK, "help events list", ""},
		{exitFailed, "health", "not running"},
		{exitUsage, "vresion", `did you mean "version"?`},
		{exitUsage, "xyz", `"hookswitch help" lists them`},
		{exitUsage, "events lst", `did you mean "list"?`},
		{exitUsage, "help plugns", `did you mean "plugins"?`},
		{exitUsage, "events help exprot", `did you mean "export"?`},
		{exitUsage, "version now", "takes no argument"},
		{exitUsage, "trigger --lst", "trigger --help"},
		{exitUsage, "verify --request " + saved + " --at then", "2026-11-24T14:00:00Z"},
		{exitUsage, "verify --request " + saved + " --key nonsense", "--key"},
		{exitUsage, "verify --request " + saved + " --body-file " + saved, "together"},
		{exitUsage, "verify --request " + saved + " --event r_1", "not both"},
		{exitFailed, "verify --request " + saved + ".missing", "no such file"},
		{exitInvalid, "verify --request " + saved, ""},
		{exitUnreachable, "status", "no sidecar runs on " + data + ": start one"},
		{exitUnreachable, "status --addr http://127.0.0.1:1", "does not answer"},
		{exitUsage, "status --addr 127.0.0.1:1", "unix:///run"},
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), append([]string{"hookswitch"}, strings.Fields(tt.args)...), &out, &errs)
		if code != tt.code || !strings.Contains(errs.String(), tt.says) {
			t.Errorf("%s: exit %d, want %d, and %q in:\n%s%s", tt.args, code, tt.code, tt.says, &out, &errs)
		}
	}
	if err := os.Rename(data, data+".old"); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	code := run(t.Context(), []string{"hookswitch", "status"}, io.Discard, &errs)
	if want := "the data directory " + data + " does not exist"; code != exitUnreachable || !strings.Contains(errs.String(), want) || !strings.Contains(errs.String(), "move the directory back") {
		t.Errorf("without its directory: exit %d, %q", code, errs.String())
	}
	t.Setenv("HOOKSWITCH_TOLERANCE", "5")
	if code := run(t.Context(), []string{"hookswitch", "status"}, io.Discard, io.Discard); code != exitConfig {
		t.Errorf("a bad configuration: exit %d, want %d", code, exitConfig)
	}
	for _, code := range []string{"0", "1", "2", "3", "4", "69", "78", "130"} {
		if !strings.Contains(exitCodes, "  "+code+" ") {
			t.Errorf("exit code %s is not in the help", code)
		}
	}
}

// The first Ctrl-C ends a command that waits for an answer, whatever it is.
func TestInterrupted(t *testing.T) {
	t.Setenv("HOOKSWITCH_STORE", "file:"+filepath.Join(t.TempDir(), "data"))
	for args, says := range map[string]string{
		"wait --addr":                             "hookswitch: interrupted\n",
		"status --addr":                           "hookswitch: interrupted\n",
		"trigger message.received --to":           "hookswitch: interrupted\n",
		"trigger message.received --count 2 --to": "interrupted before the first answer",
		"replay --filter status=dead --addr":      "the sidecar continues replay 01a2132d",
		"dead requeue --type call.* --addr":       "the sidecar continues replay 01a2132d",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or its end would not be noticed
			if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/api/") {
				fmt.Fprint(w, `{"id":"01a2132d","state":"running","total":1}`)
				return
			}
			cancel()
			<-r.Context().Done()
		}))
		var errs bytes.Buffer
		code := run(ctx, append([]string{"hookswitch"}, append(strings.Fields(args), receiver.URL)...), io.Discard, &errs)
		if code != exitInterrupted || !strings.Contains(errs.String(), says) {
			t.Errorf("%s: exit %d, want %d, and %q in:\n%s", args, code, exitInterrupted, says, &errs)
		}
		receiver.Close()
	}
}

// TestNoArguments: a command whose help names no arguments takes none.
func TestNoArguments(t *testing.T) {
	for _, args := range []string{"status x", "dead groups x", "config show x", "version x"} {
		var errs bytes.Buffer
		code := run(t.Context(), append([]string{"hookswitch"}, strings.Fields(args)...), io.Discard, &errs)
		if want := `takes no argument "x"`; code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: exit %d, want %d, and %q in:\n%s", args, code, exitUsage, want, &errs)
		}
	}
}

func TestMeant(t *testing.T) {
	names := []string{"run", "dev", "events", "plugins", "status"}
	for word, want := range map[string]string{
		"plugns": "plugins", "event": "events", "rnu": "run", "STATUS": "status", "statsu": "status", "install": "", "": "", "x": "",
	} {
		if want != "" {
			want = `did you mean "` + want + `"?`
		}
		if got := meant(word, names, ""); got != want {
			t.Errorf("%q is near %q, want %q", word, got, want)
		}
	}
}

func TestProse(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("some words ", 9))
	var out strings.Builder
	helpText{&out}.prose("DESCRIPTION", long+"\nand more of\nit.\n\nExamples:\n  hookswitch "+long+"\n\n# bash\nsource it")
	want := "\nDESCRIPTION\n  " + strings.TrimSpace(strings.Repeat("some words ", 7)) + "\n  some words some words and more of it.\n\n" +
		"  Examples:\n    hookswitch " + long + "\n\n  # bash\n  source it\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}
