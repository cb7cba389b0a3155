package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// container is a sidecar that is the first process of a PID namespace, as in a
// container.
type container struct {
	cmd  *exec.Cmd // unshare, which ends as the first process does
	data string
	out  output.Buffer
	key  ed25519.PrivateKey
}

// contain starts a program as the first process of a namespace of its own.
func contain(t *testing.T, env []string, args ...string) *container {
	t.Helper()
	unshare := []string{"--pid", "--fork", "--kill-child", "--mount-proc"}
	if os.Getuid() != 0 {
		unshare = append(unshare, "--user", "--map-root-user")
	}
	if out, err := exec.Command("unshare", append(unshare, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no PID namespace can be had here: unshare: %v %s", err, out)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &container{data: filepath.Join(t.TempDir(), "data"), key: private}
	c.cmd = exec.Command("unshare", append(unshare, args...)...)
	c.cmd.Dir = t.TempDir()
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "TELNYX_PUBLIC_KEY=" + base64.StdEncoding.EncodeToString(public),
		"HOOKSWITCH_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0", "HOOKSWITCH_STORE=file:" + c.data,
		"HOOKSWITCH_PLUGIN_USER=root", "HOOKSWITCH_LOG_FORMAT=text",
	}, env...)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // and, by --kill-child, the namespace; it may have ended
		_ = c.cmd.Wait()
		if t.Failed() {
			t.Log(c.out.String())
		}
	})
	return c
}

// pollFor waits until done returns nil.
func pollFor(t *testing.T, done func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for ; ; <-time.After(10 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, err)
		}
	}
}

// ready waits for the sidecar and returns where it receives webhooks.
func (c *container) ready(t *testing.T) (here instance.Info) {
	t.Helper()
	pollFor(t, func() (err error) {
		if here, err = instance.Find(c.data); err != nil {
			return err
		}
		res, err := http.Get(here.Admin + "/readyz")
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %d", res.StatusCode)
		}
		return nil
	})
	return here
}

func (c *container) post(t *testing.T, url string, n int) {
	t.Helper()
	body := fmt.Appendf(nil, `{"data":{"id":"%08d-0000-4000-8000-000000000000","event_type":"message.received","payload":{}}}`, n)
	res, err := http.DefaultClient.Do(signedRequest(url, c.key, time.Now(), body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("answered %d", res.StatusCode)
	}
}

// processes lists the processes of the namespace by the state of each: from
// outside, all that descends from unshare.
func (c *container) processes(t *testing.T) (first int, states map[int]string) {
	t.Helper()
	parents, state := make(map[int]int), make(map[int]string)
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, _ := os.ReadFile(name) // it may be gone
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if len(fields) < 2 {
			continue
		}
		parents[pid], _ = strconv.Atoi(string(fields[1]))
		state[pid] = string(fields[0])
	}
	states = make(map[int]string)
	for pid, parent := range parents {
		if parent == c.cmd.Process.Pid {
			first = pid
		}
		for p := parent; p > 1; p = parents[p] {
			if p == c.cmd.Process.Pid {
				states[pid] = state[pid]
			}
		}
	}
	return first, states
}

// noZombies waits until every process that has ended has been looked at.
func (c *container) noZombies(t *testing.T) {
	t.Helper()
	pollFor(t, func() error {
		_, states := c.processes(t)
		for pid, state := range states {
			if state == "Z" {
				return fmt.Errorf("process %d is a zombie: %v", pid, states)
			}
		}
		return nil
	})
}

// terminate sends SIGTERM to the first process, as docker stop does, and
// returns how it ended.
func (c *container) terminate(t *testing.T) int {
	t.Helper()
	first, _ := c.processes(t)
	if err := syscall.Kill(first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // its code is the result
	return c.cmd.ProcessState.ExitCode()
}

// orphaning is a plugin that leaves two processes behind with each event: one
// that has ended before it answers, and one that ends later. It ends badly when
// the file "crash" is there.
const orphaning = `while read -r line; do
	(sh -c 'exit 3' & )
	(sleep 0.05 & )
	if test -e "$0.crash"; then rm "$0.crash"; exit 9; fi
	seq=${line#*:}
	echo "{\"seq\":${seq%%,*},\"ok\":true}"
done
`

// TestEdgeFirstProcess runs the sidecar as the image does: as process 1.
func TestEdgeFirstProcess(t *testing.T) {
	edges.Need(t)
	events := 20
	if edges.Long() {
		events = 500
	}
	plugins := t.TempDir()
	for name, text := range map[string]string{
		"orphans.sh":          orphaning,
		"orphans.plugin.json": `{"protocol": "jsonl", "command": ["sh", "orphans.sh"], "events": ["*"]}`,
	} {
		if err := os.WriteFile(filepath.Join(plugins, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := contain(t, []string{"HOOKSWITCH_PLUGIN_DIR=" + plugins, "HOOKSWITCH_RETRY_SCHEDULE=10ms,10ms,10ms"}, "hookswitch", "run")
	here := c.ready(t)
	if here.PID == 1 {
		t.Error("the sidecar itself is process 1")
	}
	for n := range events {
		if n == events/2 { // how a plugin ended is still known, among all those orphans
			if err := os.WriteFile(filepath.Join(plugins, "orphans.sh.crash"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.post(t, here.Webhooks, n)
	}
	pollFor(t, func() error {
		res, err := http.Get(here.Admin + "/metrics")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(res.Body); err != nil {
			return err
		}
		if want := fmt.Sprintf(`hookswitch_delivery_latency_seconds_count{target="plugin:orphans"} %d`, events); !strings.Contains(text.String(), want+"\n") {
			return fmt.Errorf("no %s yet", want)
		}
		return nil
	})
	c.noZombies(t)
	if !strings.Contains(c.out.String(), "exit status 9") {
		t.Error("the log does not have the exit code of the plugin that crashed")
	}
	if code := c.terminate(t); code != 0 || !strings.Contains(c.out.String(), "drained") {
		t.Errorf("stopped by SIGTERM it exits %d, want 0 after a drain", code)
	}
}

// TestEdgeFirstProcessWithApp is the same for "run -- CMD": the app's orphans
// are reaped too, signals reach it, and its exit code is that of the container.
func TestEdgeFirstProcessWithApp(t *testing.T) {
	edges.Need(t)
	dir := t.TempDir()
	app := filepath.Join(dir, "app.sh")
	text := `trap 'touch "` + dir + `/usr1"' USR1
trap 'exit 0' TERM
i=0
while test $i -lt 20; do (sleep 0.01 & ); i=$((i+1)); done
touch "` + dir + `/started"
while :; do sleep 0.05; done
`
	if err := os.WriteFile(app, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	exists := func(name string) func() error {
		return func() error { _, err := os.Stat(filepath.Join(dir, name)); return err }
	}
	c := contain(t, nil, "hookswitch", "run", "--", "sh", app)
	c.ready(t)
	pollFor(t, exists("started"))
	pollFor(t, func() error { // the app has always one that runs
		_, states := c.processes(t)
		for pid, state := range states {
			if state == "Z" {
				return fmt.Errorf("process %d is a zombie: %v", pid, states)
			}
		}
		return nil
	})
	first, _ := c.processes(t)
	if err := syscall.Kill(first, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	pollFor(t, exists("usr1"))
	if code := c.terminate(t); code != 0 {
		t.Errorf("stopped by SIGTERM it exits %d", code)
	}
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "(sleep 0.02 & ); (true & ); exit 3": 3, "kill -KILL $$": 137} {
		c := contain(t, nil, "hookswitch", "run", "--", "sh", "-c", script)
		_ = c.cmd.Wait() // its code is the result
		if code := c.cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%s: exits %d, want %d\n%s", script, code, want, c.out.String())
		}
	}
	for want, args := range map[int][]string{exitOK: {"version"}, exitUsage: {"nonsense"}, exitUnreachable: {"status"}} {
		c := contain(t, nil, append([]string{"hookswitch"}, args...)...)
		_ = c.cmd.Wait() // its code is the result
		if code := c.cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%s: exits %d, want %d\n%s", args, code, want, c.out.String())
		}
	}
}
