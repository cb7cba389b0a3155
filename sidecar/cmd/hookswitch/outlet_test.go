package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// hostile is what a stranger would like an operator's terminal to read: a
// title, colours, a cursor that goes up, C1 in UTF-8 and as a byte, a bell, a
// carriage return, text from right to left, an end of line of Unicode.
const hostile = "\x1b]0;mine\x07\x1b[31m\x1b[2A\u009b31m\x9b31m\x07\b\r\u202egnp\u2066\u200f\u2028\x7f\U000e0041"

// commands that a terminal would take from hostile, as they are on the way out.
var terminalCommand = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\U000e0000-\U000e007f]")

func TestOutlet(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"what is not dangerous", "día 日本 👩‍👧 → ✓\ta\n", "día 日本 👩‍👧 → ✓\ta\n"},
		{"an escape sequence", "\x1b[31mred", `\u001b[31mred`},
		{"a colour with another seal", "\x1bGUESSEDGUESSEDGUESSEDGUESSg", `\u001bGUESSEDGUESSEDGUESSEDGUESSg`},
		{"C1 in UTF-8", "\u009b31m", `\u009b31m`},
		{"C1 in one byte", "a\x9b31m", "a\uFFFD31m"},
		{"carriage return, backspace, bell, delete", "a\rb\bc\x07d\x7f", `a\u000db\u0008c\u0007d\u007f`},
		{"bidirectional controls", "\u202eabc\u2069\u200f", `\u202eabc\u2069\u200f`},
		{"beyond 16 bits", "\U000e0041", `\udb40\udc41`},
		{"half a character at the end", "a\xe2\x86", "a\uFFFD"},
		{"an escape at the end", "a\x1b", `a` + "\uFFFD"},
	} {
		for _, size := range []int{1, 2, 3, 1000} {
			var out bytes.Buffer
			o := newOutlet(&out)
			for rest := []byte(tt.in); len(rest) > 0; {
				n := min(size, len(rest))
				if m, err := o.Write(rest[:n]); m != n || err != nil {
					t.Fatalf("%d, %v", m, err)
				}
				rest = rest[n:]
			}
			if err := o.end(); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("%s, %d bytes at a time: %q, want %q", tt.name, size, &out, tt.want)
			}
		}
	}
}

// TestOutletColors: our own colours pass, around words that do not.
func TestOutletColors(t *testing.T) {
	t.Setenv("FORCE_COLOR", "1")
	var out bytes.Buffer
	o := newOutlet(&out)
	p := newPalette(&cli.Command{Writer: o})
	fmt.Fprint(o, p.green("ok\x1b[5m"), p.red("no"), p.bold("b"), p.faint("f"), p.yellow("y"), o.erase())
	if want := "\x1b[32mok\\u001b[5m\x1b[0m\x1b[31mno\x1b[0m\x1b[1mb\x1b[0m\x1b[2mf\x1b[0m\x1b[33my\x1b[0m\r\x1b[K"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

// TestOutletLeavesJSON: JSON keeps its meaning.
func TestOutletLeavesJSON(t *testing.T) {
	var out bytes.Buffer
	want := strings.ToValidUTF8(hostile, "\uFFFD")
	e := json.NewEncoder(newOutlet(&out))
	e.SetEscapeHTML(false)
	if err := e.Encode(want); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if c := terminalCommand.FindString(out.String()); c != "" {
		t.Errorf("%q is in it: %q", c, &out)
	}
}

// FuzzOutlet looks for bytes that pass, and for JSON that changes its meaning.
func FuzzOutlet(f *testing.F) {
	f.Add([]byte(hostile), uint8(3))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		var out bytes.Buffer
		o := newOutlet(&out)
		for rest := text; len(rest) > 0; {
			n := min(1+int(size), len(rest))
			_, _ = o.Write(rest[:n])
			rest = rest[n:]
		}
		_ = o.end()
		if !utf8.Valid(out.Bytes()) || terminalCommand.Match(out.Bytes()) {
			t.Errorf("%q became %q", text, &out)
		}
	})
}

// TestStrangersDoNotReachTheTerminal prints, by every command that shows them,
// an event, a request and an answer that a stranger has made.
func TestStrangersDoNotReachTheTerminal(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // not looked at
		w.WriteHeader(http.StatusGone)
		_, _ = io.WriteString(w, hostile)
	}))
	t.Cleanup(app.Close)
	env, key := home(t)
	env = append(env, "HOOKSWITCH_FORWARD_TO="+app.URL)
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := startProcess(t, env, key, log, log, "run")
	text := strings.ToValidUTF8(hostile, "\uFFFD")
	sample, _ := event.Sample("message.received")
	for i, name := range []string{"id", "event_type", "payload.text"} {
		body, err := event.Edit(sample, "application/json", event.Change{Path: "id", Value: fmt.Sprint("the event ", i)}, event.Change{Path: name, Value: text + "\nhookswitch: all is well"})
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(signedRequest(r.here.Webhooks, key, time.Now(), body))
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", res, err)
		}
		res.Body.Close()
	}
	req := signedRequest(r.here.Webhooks+"?"+"a=%1b[31m", key, time.Now(), []byte("{}"))
	req.Header.Set("Telnyx-Timestamp", "1\u009b31m")
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode == http.StatusOK {
		t.Fatalf("%v, %v", res, err)
	}
	poll(t, func() error {
		out, err := program(t, env, "dead", "list", "-o", "json").Output()
		if n := strings.Count(string(out), `"state": "dead"`); n != 3 {
			return fmt.Errorf("%d are dead, %v", n, err)
		}
		return nil
	})
	// The server of "trigger --to", and of --addr, is a stranger, too.
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTeapot)
		if strings.HasPrefix(r.URL.Path, "/api/") {
			_ = json.NewEncoder(w).Encode(map[string]any{"type": text, "title": text, "detail": text, "status": 418})
			return
		}
		_, _ = io.WriteString(w, hostile)
	}))
	t.Cleanup(stranger.Close)
	for _, args := range [][]string{
		{"events", "list"}, {"events", "list", "-o", "json"}, {"events", "list", "-o", "jsonl"}, {"events", "count"}, {"events", "count", "-o", "json"},
		{"events", "get", "the event 1"}, {"events", "get", "the event 2"}, {"events", "get", hostile}, {"events", "export"},
		{"dead", "list"}, {"dead", "groups"}, {"dead", "groups", "-o", "json"}, {"dead", "requeue", "--all", "--dry-run"}, {"dead", "discard", "--all", "--dry-run"},
		{"tail", "--since", "1h"}, {"tail", "--since", "1h", "-o", "compact"}, {"tail", "--since", "1h", "-o", "json"}, {"dev"},
		{"replay", "--all", "--dry-run"}, {"replay", "--filter", "type=" + hostile, "--dry-run"},
		{"status"}, {"verify", "--event", "the event 1"}, {"config", "show"},
		{"trigger", "message.received", "--to", stranger.URL}, {"trigger", hostile}, {hostile}, {"help", hostile}, {"events", "list", "--" + hostile},
		{"--addr", stranger.URL, "events", "list"}, {"--addr", stranger.URL, "status"}, {"health", "--url", stranger.URL},
		{"--addr", stranger.URL, "tail"}, {"plugins", "check", "./" + hostile}, {"plugins", "list"},
	} {
		cmd := program(t, env, args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if args[0] == "tail" || args[0] == "dev" {
			interruptWhenSaid(t, cmd, &out)
		} else {
			_ = cmd.Run() // many fail, as they should
		}
		if c := terminalCommand.FindString(out.String()); c != "" || !utf8.Valid(out.Bytes()) {
			t.Errorf("%q prints %q:\n%q", args, c, &out)
		}
		if strings.Contains(out.String(), "\nhookswitch: all is well") {
			t.Errorf("%q prints a line that a stranger has made:\n%s", args, &out)
		}
	}
	// The exact bytes are for a file or a program.
	out, err := program(t, env, "events", "payload", "the event 2").Output()
	if err != nil || !bytes.Contains(out, []byte("\u202e")) {
		t.Errorf("events payload, %v: %q", err, out)
	}
	r.stop(t, syscall.SIGTERM)
	if lines, err := os.ReadFile(log.Name()); err != nil || terminalCommand.Match(lines) {
		t.Errorf("the log, %v: %q", err, lines)
	}
}

// interruptWhenSaid runs a command that ends with Ctrl-C, until it has shown the
// events of the past.
func interruptWhenSaid(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer) {
	t.Helper()
	reader, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	stderr := cmd.Stderr
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	chunk := make([]byte, 4096)
	for strings.Count(out.String(), "410") < 3 && !strings.Contains(out.String(), "  records ") { // dev: it has begun
		n, err := reader.Read(chunk)
		if err != nil {
			break
		}
		out.Write(chunk[:n])
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	_, _ = io.Copy(stderr, reader)
	_ = cmd.Wait() // as it likes
}
