package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// process is a sidecar in a process of its own.
type process struct {
	cmd  *exec.Cmd
	key  ed25519.PrivateKey
	here instance.Info
	env  []string
	done chan struct{} // closed when it has ended
}

// program returns a command that runs this test binary as hookswitch.
func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"hookswitch"}, args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// home returns the environment of a sidecar of its own, and Telnyx's key.
func home(t *testing.T) (env []string, key ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return []string{
		"TELNYX_PUBLIC_KEY=" + base64.StdEncoding.EncodeToString(public),
		"HOOKSWITCH_LISTEN=127.0.0.1:0",
		"HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
		"HOOKSWITCH_STORE=file:" + filepath.Join(dir, "data"),
		"HOOKSWITCH_PLUGIN_DIR=" + filepath.Join(dir, "plugins"),
		"HOOKSWITCH_PLUGIN_USER=root",
		"HOOKSWITCH_LOG_FORMAT=text",
		"GORACE=atexit_sleep_ms=0",
	}, private
}

// startProcess starts "hookswitch ARGS" and waits until it is ready.
func startProcess(t *testing.T, env []string, key ed25519.PrivateKey, stdout, stderr *os.File, args ...string) *process {
	t.Helper()
	cmd := program(t, env, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return startCommand(t, env, key, cmd)
}

// startCommand starts a command that becomes a sidecar, and waits until it is
// ready.
func startCommand(t *testing.T, env []string, key ed25519.PrivateKey, cmd *exec.Cmd) *process {
	t.Helper()
	r := &process{cmd: cmd, key: key, env: env, done: make(chan struct{})}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait() // its state is looked at
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
	})
	poll(t, func() error {
		here, err := instance.Find(r.dir())
		if err != nil {
			return err
		}
		if here.PID != r.cmd.Process.Pid {
			return errors.New("that is the one before")
		}
		r.here = here
		text, err := r.get("/readyz")
		if err == nil && text != "ok\n" {
			err = errors.New(text)
		}
		return err
	})
	return r
}

func (r *process) dir() string {
	for _, line := range r.env {
		if dir, ok := strings.CutPrefix(line, "HOOKSWITCH_STORE=file:"); ok {
			return dir
		}
	}
	return ""
}

// get returns what the admin listener answers.
func (r *process) get(path string) (string, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(r.here.Admin + path)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// send sends an event of its own, and returns the answer's status and how long
// it took.
func (r *process) send(t *testing.T, client *http.Client) (int, time.Duration) {
	t.Helper()
	body, _, err := eventBody("message.received", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	res, err := client.Do(signedRequest(r.here.Webhooks, r.key, start, body))
	if err != nil {
		t.Errorf("after %v: %v", time.Since(start), err)
		return 0, time.Since(start)
	}
	_, _ = io.Copy(io.Discard, res.Body) // it is empty
	res.Body.Close()
	return res.StatusCode, time.Since(start)
}

// stop sends a signal, and returns the exit code; -1 if it was killed.
func (r *process) stop(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	return r.wait(t)
}

func (r *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Fatalf("it has not ended within %v", patience)
	}
	return r.cmd.ProcessState.ExitCode()
}

// poll waits until done returns nil.
func poll(t *testing.T, done func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %v", patience, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}
