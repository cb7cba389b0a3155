package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hookswitch/hookswitch/internal/testkit/until"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// patience bounds every wait of a script. It is only spent on failure.
const patience = 30 * time.Second

// commands are what the scripts are written in, besides those of testscript.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"plugin":      cmdPlugin,
	"pluginready": cmdPluginReady,
	"eventually":  cmdEventually,
	"goplugin":    cmdGoPlugin,
	"ready":       cmdReady,
	"sigterm":     cmdSigterm,
	"stops":       cmdStops,
	"insist":      cmdInsist,
	"sighup":      cmdSighup,
	"sample":      cmdSample,
	"post":        cmdPost,
	"get":         cmdGet,
	"app":         cmdApp,
	"appstatus":   cmdAppStatus,
	"lines":       cmdLines,
	"field":       cmdField,
	"killpid":     cmdKillPID,
	"gone":        cmdGone,
	"load":        cmdLoad,
	"allcalled":   cmdAllCalled,
	"appears":     cmdAppears,
	"allstored":   cmdAllStored,
	"waitgrep":    cmdWaitGrep,
	"freeport":    cmdFreePort,

	"servicemanager": cmdServiceManager,
}

// soon calls done until it returns nil, and fails the script with its last error when
// patience ends.
func soon(ts *testscript.TestScript, done func() error) {
	until.Nil(ts, patience, "it", done)
}

// goplugin NAME: builds a bundled plugin into the plugin folder.
func cmdGoPlugin(ts *testscript.TestScript, _ bool, args []string) {
	name := "hookswitch-plugin-" + args[0]
	out := filepath.Join(ts.Getenv("HOOKSWITCH_PLUGIN_DIR"), name)
	// Not by exec: the go command needs the environment of the test itself.
	build := exec.Command("go", "build", "-o", out, "github.com/hookswitch/hookswitch/plugins/"+name)
	if text, err := build.CombinedOutput(); err != nil {
		ts.Fatalf("%v: %s", err, text)
	}
}

// plugin recorder [program]: puts the test plugin into the plugin folder, as a script
// that runs it, or as the program itself. The sidecar reads a program twice when it
// starts it, and copies it: that of the 40 MB of this test binary took longer than
// the rest of most scripts. "goplugin" puts bundled programs there.
func cmdPlugin(ts *testscript.TestScript, _ bool, args []string) {
	name := "hookswitch-plugin-" + args[0]
	program, err := exec.LookPath(name) // TestMain names it
	ts.Check(err)
	content := fmt.Appendf(nil, "#!/bin/sh\nexec '%s'\n", program)
	if len(args) > 1 && args[1] == "program" {
		content, err = os.ReadFile(program)
		ts.Check(err)
	}
	dir := ts.Getenv("HOOKSWITCH_PLUGIN_DIR")
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, name), content, 0o700))
}

// pluginready NAME: waits until a plugin that was dropped in takes events.
func cmdPluginReady(ts *testscript.TestScript, _ bool, args []string) {
	soon(ts, func() error {
		if err := ts.Exec("hookswitch", "plugins", "info", "-o", "json", args[0]); err != nil {
			return err
		}
		if out := ts.ReadFile("stdout"); !strings.Contains(out, `"state": "ready"`) {
			return fmt.Errorf("the plugin is not ready: %s", out)
		}
		return nil
	})
}

// eventually PATTERN COMMAND...: runs a command until its output matches.
func cmdEventually(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	soon(ts, func() error {
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			return err
		}
		if out := ts.ReadFile("stdout"); !pattern.MatchString(out) {
			return fmt.Errorf("%q does not match %s", args[1:], out)
		}
		return nil
	})
}

// ready: waits for the sidecar and sets $WEBHOOKS and $ADMIN.
func cmdReady(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.Getenv("HOOKSWITCH_DATA_DIR")
	soon(ts, func() error {
		here, err := instance.Find(dir)
		if err != nil {
			return err
		}
		if err := kill(here.PID, 0); err != nil {
			return fmt.Errorf("the sidecar that was there has gone: %w", err)
		}
		public := strings.TrimSuffix(here.Webhooks, "/webhooks")
		for _, url := range []string{here.Admin + "/livez", here.Admin + "/readyz", public + "/livez", public + "/readyz"} {
			res, err := http.Get(url)
			if err != nil {
				return err
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %d", url, res.StatusCode)
			}
		}
		ts.Setenv("WEBHOOKS", here.Webhooks)
		ts.Setenv("ADMIN", here.Admin)
		ts.Setenv("TELNYX_BASE_URL", here.Admin+"/v2")
		return nil
	})
}

// sigterm: tells the sidecar to stop, as a service manager does.
func cmdSigterm(ts *testscript.TestScript, _ bool, _ []string) {
	here, err := instance.Find(ts.Getenv("HOOKSWITCH_DATA_DIR"))
	ts.Check(err)
	ts.Check(kill(here.PID, syscall.SIGTERM))
}

// sighup: tells the sidecar to read its configuration again.
func cmdSighup(ts *testscript.TestScript, _ bool, _ []string) {
	here, err := instance.Find(ts.Getenv("HOOKSWITCH_DATA_DIR"))
	ts.Check(err)
	ts.Check(kill(here.PID, syscall.SIGHUP))
}

// sample [-compact] [-id ID] [-type TYPE] NAME FILE: writes a sample body.
func cmdSample(ts *testscript.TestScript, _ bool, args []string) {
	flags := flag.NewFlagSet("sample", flag.ContinueOnError)
	compact := flags.Bool("compact", false, "")
	id := flags.String("id", "", "")
	typ := flags.String("type", "", "")
	ts.Check(flags.Parse(args))
	body, ok := event.Sample(flags.Arg(0))
	if !ok {
		ts.Fatalf("no sample %q", flags.Arg(0))
	}
	if *compact {
		var out bytes.Buffer
		ts.Check(json.Compact(&out, body))
		body = out.Bytes()
	}
	e := webhook.Decode("application/json", body)
	if *id != "" {
		body = bytes.ReplaceAll(body, []byte(e.ID), []byte(*id))
	}
	if *typ != "" {
		body = bytes.ReplaceAll(body, []byte(e.Type), []byte(*typ))
	}
	ts.Check(os.WriteFile(ts.MkAbs(flags.Arg(1)), body, 0o600))
}

// post [flags] FILE STATUS: sends a body, signed by Telnyx unless a flag says
// otherwise, and expects the status.
func cmdPost(ts *testscript.TestScript, _ bool, args []string) {
	flags := flag.NewFlagSet("post", flag.ContinueOnError)
	age := flags.Duration("age", 0, "how long ago it was signed")
	wrongKey := flags.Bool("wrongkey", false, "sign with another key")
	flip := flags.Bool("flip", false, "flip a bit of the body after signing")
	reformat := flags.Bool("reformat", false, "print the JSON on one line after signing")
	drop := flags.String("drop", "", "leave out a header")
	method := flags.String("method", http.MethodPost, "")
	pad := flags.Int("pad", 0, "add so many spaces to the body before signing")
	path := flags.String("path", "", "send to this path, as it is written")
	sender := flags.String("for", "", "the X-Forwarded-For of a proxy")
	ts.Check(flags.Parse(args))
	body := []byte(ts.ReadFile(flags.Arg(0)))
	body = append(body, bytes.Repeat([]byte(" "), *pad)...)
	key := worldOf(ts).key
	if *wrongKey {
		var err error
		_, key, err = ed25519.GenerateKey(nil)
		ts.Check(err)
	}
	req := signedRequest(ts.Getenv("WEBHOOKS"), key, time.Now().Add(-*age), body)
	req.Method = *method
	if *path != "" {
		req.URL.Opaque = "//" + req.URL.Host + *path
	}
	if *flip {
		body = bytes.Clone(body)
		body[len(body)/2] ^= 1
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	if *reformat {
		var out bytes.Buffer
		ts.Check(json.Compact(&out, body))
		req.Body, req.ContentLength = io.NopCloser(&out), int64(out.Len())
	}
	if *sender != "" {
		req.Header.Set("X-Forwarded-For", *sender)
	}
	if *drop != "" {
		req.Header.Del(*drop)
	}
	if *pad > 0 {
		// The answer comes before the body is sent, or the client might
		// trip over the closed connection and not read it.
		req.Header.Set("Expect", "100-continue")
	}
	res, err := http.DefaultTransport.RoundTrip(req) // a redirect is an answer
	ts.Check(err)
	answer, err := io.ReadAll(res.Body)
	ts.Check(errors.Join(err, res.Body.Close()))
	if want := flags.Arg(1); strconv.Itoa(res.StatusCode) != want {
		ts.Fatalf("answered %d %s, want %s", res.StatusCode, answer, want)
	}
}

func signedRequest(url string, key ed25519.PrivateKey, at time.Time, body []byte) *http.Request {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		panic(err) // the URL came from the sidecar itself
	}
	timestamp, signature := webhook.Sign(key, at, body)
	req.Header.Set(webhook.HeaderTimestamp, timestamp)
	req.Header.Set(webhook.HeaderSignature, signature)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// get [-token T] [-host H] [-want PATTERN] PATH STATUS FILE: reads from the admin
// listener, waiting for the status and for a body that fits the pattern.
func cmdGet(ts *testscript.TestScript, _ bool, args []string) {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	token := flags.String("token", "KEY_of_nobody", "")
	want := flags.String("want", "", "")
	host := flags.String("host", "", "")
	ts.Check(flags.Parse(args))
	soon(ts, func() error {
		req, err := http.NewRequest(http.MethodGet, ts.Getenv("ADMIN")+flags.Arg(0), nil)
		ts.Check(err)
		req.Host = *host // empty: that of the URL
		if *token != "" {
			req.Header.Set("Authorization", "Bearer "+*token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		if strconv.Itoa(res.StatusCode) != flags.Arg(1) || !regexp.MustCompile(*want).Match(body) {
			return fmt.Errorf("%s answers %d %s", flags.Arg(0), res.StatusCode, body)
		}
		return os.WriteFile(ts.MkAbs(flags.Arg(2)), body, 0o600)
	})
}

// lines FILE N: waits until the file has N lines, and fails if it has more.
func cmdLines(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	soon(ts, func() error {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err != nil && want > 0 {
			return err
		}
		n := bytes.Count(text, []byte("\n"))
		if n > want {
			ts.Fatalf("%s has %d lines, want %d:\n%s", args[0], n, want, text)
		}
		if n < want {
			return fmt.Errorf("%s has %d lines, want %d", args[0], n, want)
		}
		return nil
	})
}

// jsonLine returns the n-th line of a file, counted from 1.
func jsonLine(ts *testscript.TestScript, file, n string) map[string]any {
	number, err := strconv.Atoi(n)
	ts.Check(err)
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(file)), "\n")
	if number > len(lines) {
		ts.Fatalf("%s has %d lines", file, len(lines))
	}
	decoder := json.NewDecoder(strings.NewReader(lines[number-1]))
	decoder.UseNumber()
	var v map[string]any
	ts.Check(decoder.Decode(&v))
	return v
}

// field FILE LINE PATH VALUE: compares one field of a JSON line, by its JSON
// text or, if it is a string, by its text.
func cmdField(ts *testscript.TestScript, neg bool, args []string) {
	var v any = jsonLine(ts, args[0], args[1])
	for name := range strings.SplitSeq(args[2], ".") {
		switch node := v.(type) {
		case map[string]any:
			v = node[name]
		case []any:
			i, err := strconv.Atoi(name)
			ts.Check(err)
			if i >= len(node) {
				ts.Fatalf("%s: no element %d", args[2], i)
			}
			v = node[i]
		default:
			ts.Fatalf("%s: nothing at %q", args[2], name)
		}
	}
	got, isText := v.(string)
	if !isText {
		text, err := json.Marshal(v)
		ts.Check(err)
		got = string(text)
	}
	if (got == args[3]) == neg {
		ts.Fatalf("%s of line %s of %s is %s", args[2], args[1], args[0], got)
	}
}

func pidOf(ts *testscript.TestScript, file, line string) int {
	pid, err := jsonLine(ts, file, line)["pid"].(json.Number).Int64()
	ts.Check(err)
	return int(pid)
}

// killpid FILE LINE: kill -9 of the process that wrote the line.
func cmdKillPID(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(kill(pidOf(ts, args[0], args[1]), syscall.SIGKILL))
}

// appears PATTERN: waits for a file whose name matches.
func cmdAppears(ts *testscript.TestScript, _ bool, args []string) {
	soon(ts, func() error {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err != nil || len(found) > 0 {
			return err
		}
		return fmt.Errorf("there is no %s", args[0])
	})
}

// gone FILE LINE: waits until the process that wrote the line has ended.
func cmdGone(ts *testscript.TestScript, _ bool, args []string) {
	pid := pidOf(ts, args[0], args[1])
	soon(ts, func() error {
		if kill(pid, 0) != nil {
			return nil
		}
		// One that was killed stays in the table until its parent, by now
		// init, has looked at it, which can take seconds in a container.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, rest, found := strings.Cut(string(stat), ") "); err == nil && found && strings.HasPrefix(rest, "Z") {
			return nil
		}
		return fmt.Errorf("process %d is still there", pid)
	})
}

// waitgrep PATTERN FILE: waits until a line of the file fits the pattern.
func cmdWaitGrep(ts *testscript.TestScript, _ bool, args []string) {
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	soon(ts, func() error {
		text, err := os.ReadFile(ts.MkAbs(args[1]))
		if err != nil {
			return err
		}
		if !re.Match(text) {
			return fmt.Errorf("%s has nothing like %s:\n%s", args[1], args[0], text)
		}
		return nil
	})
}

// freeport NAME: sets a variable to an address of this machine that nothing listens
// at.
func cmdFreePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Check(l.Close())
	ts.Setenv(args[0], l.Addr().String())
}
