package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fullPipe returns the end of a pipe that is written to, with no room in it. The
// other end is there, and nobody reads it.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := w.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	filler := make([]byte, 4096)
	for err == nil {
		_, err = w.Write(filler)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return w
}

// countingApp is an app that counts what it gets, each event by its id, and
// waits for hold before it answers, if there is one.
type countingApp struct {
	*httptest.Server
	requests atomic.Int64
	hold     chan struct{}
}

func newCountingApp(t *testing.T) *countingApp {
	a := &countingApp{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // not looked at
		a.requests.Add(1)
		if a.hold != nil {
			<-a.hold
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// TestOutputThatNobodyReads: with standard output and error on pipes that are
// full from the start, a sidecar starts, receives, delivers, says what is wrong
// and stops.
func TestOutputThatNobodyReads(t *testing.T) {
	for _, tt := range []struct{ command, shown string }{{"run", "error"}, {"dev", "output"}} {
		t.Run(tt.command, func(t *testing.T) {
			t.Parallel()
			app := newCountingApp(t)
			env, key := home(t)
			env = append(env, "HOOKSWITCH_FORWARD_TO="+app.URL, "HOOKSWITCH_LOG_LEVEL=debug")
			r := startProcess(t, env, key, fullPipe(t), fullPipe(t), tt.command)
			client := &http.Client{Timeout: patience}
			for i := range 40 {
				if status, took := r.send(t, client); status != http.StatusOK {
					t.Fatalf("event %d: %d after %v", i, status, took)
				}
			}
			poll(t, func() error {
				if n := app.requests.Load(); n != 40 {
					return fmt.Errorf("the app has got %d events of 40", n)
				}
				return nil
			})
			poll(t, func() error {
				text, err := r.get("/readyz?verbose")
				if err == nil && !strings.Contains(text, "[!] output: standard "+tt.shown+" has not been read for ") {
					err = errors.New(text)
				}
				return err
			})
			if text, err := r.get("/readyz"); text != "ok\n" {
				t.Errorf("/readyz: %q, %v", text, err)
			}
			out, err := program(t, env, "status").Output()
			if err != nil || !regexp.MustCompile(`warning +output: standard `+tt.shown+` has not been\s+read`).Match(out) {
				t.Errorf("status, %v:\n%s", err, out)
			}
			start := time.Now()
			if code := r.stop(t, syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d", code)
			}
			t.Logf("stopped within %v", time.Since(start))
		})
	}
}

// TestFailureThatNobodyReads: a start fails and prints why where nobody reads,
// and the process ends all the same.
func TestFailureThatNobodyReads(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  string
		code int
	}{
		{"bad configuration", "HOOKSWITCH_ACK_BUDGET=nonsense", exitConfig},
		{"an address that is not ours", "HOOKSWITCH_LISTEN=192.0.2.1:1", exitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env, _ := home(t)
			cmd := program(t, append(env, tt.env), "run")
			cmd.Stdout, cmd.Stderr = fullPipe(t), fullPipe(t)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			r := &process{cmd: cmd, done: make(chan struct{})}
			go func() { _ = cmd.Wait(); close(r.done) }()
			t.Cleanup(func() { _ = cmd.Process.Kill(); <-r.done })
			if code := r.wait(t); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
		})
	}
}

// TestOutputWhoseReaderGoes: the reader of standard output and error goes away
// while an attempt is under way. The sidecar keeps running, drains, and delivers
// nothing twice.
func TestOutputWhoseReaderGoes(t *testing.T) {
	for _, tt := range []struct {
		command string
		signal  syscall.Signal
	}{
		{"run", syscall.SIGTERM},
		{"dev", syscall.SIGINT},
		{"dev", syscall.SIGHUP}, // the terminal itself has gone
	} {
		t.Run(tt.command+" "+tt.signal.String(), func(t *testing.T) {
			t.Parallel()
			app := newCountingApp(t)
			app.hold = make(chan struct{})
			env, key := home(t)
			env = append(env, "HOOKSWITCH_FORWARD_TO="+app.URL)
			reader, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r := startProcess(t, env, key, w, w, tt.command)
			w.Close()
			client := &http.Client{Timeout: patience}
			r.send(t, client)
			poll(t, func() error {
				if app.requests.Load() != 1 {
					return errors.New("the app has not got the event")
				}
				return nil
			})
			reader.Close()
			for range 5 { // each is a line or two
				if status, _ := r.send(t, client); status != http.StatusOK {
					t.Fatalf("answered %d after the reader had gone", status)
				}
			}
			poll(t, func() error {
				text, err := r.get("/readyz?verbose")
				if tt.command == "run" && err == nil && !strings.Contains(text, "[!] output: standard error cannot be written to") {
					err = errors.New(text)
				}
				return err
			})
			if err := r.cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			close(app.hold)
			if code := r.wait(t); code != 0 {
				t.Fatalf("exit code %d: %s", code, r.cmd.ProcessState)
			}
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			r = startProcess(t, env, key, null, null, tt.command)
			poll(t, func() error {
				out, err := program(t, env, "events", "list", "--status", "pending").CombinedOutput()
				if err == nil {
					err = fmt.Errorf("still pending:\n%s", out)
				} else if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == exitNothing {
					err = nil
				}
				return err
			})
			if n := app.requests.Load(); n != 6 {
				t.Errorf("the app got %d requests for 6 events", n)
			}
			r.stop(t, syscall.SIGTERM)
		})
	}
}

// TestShortCommandsEndQuietly: a command whose reader has had enough ends by
// SIGPIPE and says nothing; one that cannot write says so.
func TestShortCommandsEndQuietly(t *testing.T) {
	env, key := home(t)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r := startProcess(t, env, key, null, null, "run")
	if status, _ := r.send(t, http.DefaultClient); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	for _, args := range []string{"events list", "events list -o json", "events get ID", "events payload ID", "events export", "tail --since 1h", "status", "config docs", "--help", "version"} {
		if strings.Contains(args, "ID") {
			out, err := program(t, env, "events", "list", "-o", "json").Output()
			var list []struct{ ID string }
			if err := errors.Join(err, json.Unmarshal(out, &list)); err != nil {
				t.Fatal(err)
			}
			args = strings.Replace(args, "ID", list[0].ID, 1)
		}
		reader, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
		cmd := program(t, env, strings.Fields(args)...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &stderr
		_ = cmd.Run() // its state is looked at
		w.Close()
		said := strings.TrimPrefix(stderr.String(), "hookswitch: watching unix://"+filepath.Join(r.dir(), "admin.sock")+"; Ctrl-C ends it\n")
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE || said != "" {
			t.Errorf("%s: %s; it says %q", args, cmd.ProcessState, said)
		}
	}
	if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		defer full.Close()
		for _, args := range []string{"events list", "version", "events export"} {
			cmd := program(t, env, strings.Fields(args)...)
			var stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = full, &stderr
			if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), "no space left on device") || strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("%s to a full disk: %v, %q", args, err, &stderr)
			}
		}
	}
	r.stop(t, syscall.SIGTERM)
}

// TestRefusedRequestsAreSummedUp: a flood of requests that are refused costs a
// few lines, and the number of the others is logged.
func TestRefusedRequestsAreSummedUp(t *testing.T) {
	env, key := home(t)
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := startProcess(t, env, key, log, log, "run")
	const sent = 300
	r.key = append([]byte{}, key...)
	r.key[0] ^= 1 // another key
	for range sent {
		if status, _ := r.send(t, http.DefaultClient); status != http.StatusUnauthorized {
			t.Fatalf("answered %d", status)
		}
	}
	r.stop(t, syscall.SIGTERM)
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := len(regexp.MustCompile(`(?m)^.*msg="request rejected" code=request-rejected.*$`).FindAll(text, -1))
	left := 0
	for _, m := range regexp.MustCompile(`code=request-rejected reason=bad_signature left_out=(\d+)`).FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(m[1])) // the pattern says digits
		left += n
	}
	if lines < 1 || lines > 100 || lines+left != sent {
		t.Errorf("%d lines, and %d left out, of %d", lines, left, sent)
	}
}

// TestLibrariesLog: messages that net/http would print to standard error are
// lines of the log, in its format.
func TestLibrariesLog(t *testing.T) {
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	go func() {
		for {
			c, err := app.Accept()
			if err != nil {
				return
			}
			go func() { // an answer, and then words that nobody has asked for
				defer c.Close()
				if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					<-time.After(50 * time.Millisecond) // or it would be a part of the answer
					_, _ = io.WriteString(c, "by the way")
				}
			}()
		}
	}()
	env, key := home(t)
	env = append(env, "HOOKSWITCH_FORWARD_TO=http://"+app.Addr().String())
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := startProcess(t, env, key, log, log, "run")
	if status, _ := r.send(t, http.DefaultClient); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	poll(t, func() error {
		text, err := os.ReadFile(log.Name())
		if err == nil && !regexp.MustCompile(`(?m)^time=\S+ level=INFO msg="Unsolicited response .*by the way`).Match(text) {
			err = fmt.Errorf("the log:\n%s", text)
		}
		return err
	})
	r.stop(t, syscall.SIGTERM)
}
