//go:build unix

package pluginhost

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// kindSetup is a host with one plugin of a kind.
type kindSetup struct {
	*setup
	plugin *Plugin
	crash  func() // kills the plugin, and for a remote one starts the next
}

// kindStart makes a host with a plugin of a kind.
type kindStart struct {
	kind  catalog.Kind
	start func(t *testing.T, edit func(*Config), hurry func(*Host)) *kindSetup
}

// kinds make a host with a plugin that does what answers says, in each of the
// ways to host one.
var kinds = []kindStart{
	{catalog.KindExec, func(t *testing.T, edit func(*Config), hurry func(*Host)) *kindSetup {
		return startKind(t, edit, hurry, "good")
	}},
	{catalog.KindJSONL, func(t *testing.T, edit func(*Config), hurry func(*Host)) *kindSetup {
		return startKind(t, func(c *Config) {
			writeManifest(t, c, "lines", `{"protocol":"jsonl","command":["lines"],"events":["*"]}`)
			if edit != nil {
				edit(c)
			}
		}, hurry, "lines")
	}},
	{catalog.KindRemote, func(t *testing.T, edit func(*Config), hurry func(*Host)) *kindSetup {
		socket := filepath.Join(shortDir(t), "s")
		begun := make(chan string, 100)
		t.Cleanup(func() { close(begun) }) // after the servers are gone, whose cleanups come later and run earlier
		server := startFar(t, begun, "HS_TEST_LISTEN=unix "+socket)
		k := startKind(t, func(c *Config) {
			writeManifest(t, c, "far", `{"protocol":"remote","address":"unix:`+socket+`"}`)
			if edit != nil {
				edit(c)
			}
		}, hurry)
		go func() {
			for line := range begun {
				k.log.add(line)
			}
		}()
		k.crash = func() {
			server()
			server = startFar(t, begun, "HS_TEST_LISTEN=unix "+socket)
		}
		return k
	}},
}

func startKind(t *testing.T, edit func(*Config), hurry func(*Host), names ...string) *kindSetup {
	t.Helper()
	s := newSetup(t, edit, names...)
	s.launch.Timings.Settle = soon // all of them say hello, and on a busy machine late
	if hurry != nil {
		hurry(s.Host)
	}
	s.start(t)
	p := s.Plugins()[0]
	if st := p.Status(); st.State != StateReady || st.Version != "1.2.3" {
		t.Fatalf("status %+v", st)
	}
	return &kindSetup{setup: s, plugin: p, crash: func() {
		if err := syscall.Kill(p.Status().PID, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}}
}

func writeManifest(t testing.TB, c *Config, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.Dir, name+catalog.ManifestSuffix), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// startFar starts a server at an address of its environment, and returns when it
// listens. What it prints goes to lines. The function that is returned kills it.
func startFar(t testing.TB, lines chan<- string, env ...string) (kill func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range env { // a socket that a killed server has left
		if path, ok := strings.CutPrefix(e, "HS_TEST_LISTEN=unix "); ok {
			_ = os.Remove(path)
		}
	}
	cmd := &exec.Cmd{Path: exe, Args: []string{"far"}, Stderr: os.Stderr,
		Env: append(os.Environ(), append(env, process.CookieKey+"=x")...)}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewScanner(stdout)
	if !out.Scan() {
		t.Fatal("the server does not listen")
	}
	if lines != nil {
		lines <- out.Text()
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for out.Scan() {
			if lines != nil {
				lines <- out.Text()
			}
		}
	}()
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait() // it was killed
	})
	t.Cleanup(kill)
	return kill
}

func TestOneContractForAllKinds(t *testing.T) {
	for _, k := range kinds {
		t.Run(string(k.kind), func(t *testing.T) {
			t.Parallel()
			t.Run("answers", func(t *testing.T) { testAnswers(t, k.start(t, nil, nil)) })
			t.Run("timeouts", func(t *testing.T) {
				testTimeouts(t, k.start(t, func(c *Config) { c.Timeout, c.DrainTimeout = 200*time.Millisecond, time.Millisecond },
					func(h *Host) {
						h.launch.Timings.Grace, h.launch.Timings.Lifeline = 100*time.Millisecond, 100*time.Millisecond
					}))
			})
			t.Run("the caller gives up", func(t *testing.T) { testInterrupted(t, k.start(t, nil, nil)) })
			t.Run("a crash", func(t *testing.T) {
				testCrash(t, k.start(t, nil, func(h *Host) { h.timings.backoffBase = 10 * time.Millisecond }))
			})
			t.Run("the drain", func(t *testing.T) { testDrain(t, k.start(t, nil, nil)) })
		})
	}
}

func testAnswers(t *testing.T, k *kindSetup) {
	tests := []struct {
		do    string
		want  delivery.Outcome
		code  int
		after time.Duration
		text  string
	}{
		{"ack", delivery.OutcomeDone, 0, 0, ""},
		{"retry", delivery.OutcomeRetry, codeRetry, 0, "plugin asks for a retry: crm is down"},
		{"after", delivery.OutcomeRetry, codeRetry, time.Minute, "plugin asks for a retry: busy"},
		{"permanent", delivery.OutcomeFailed, codeFail, 0, "plugin failed the event permanently: no such user"},
	}
	for i, tt := range tests {
		a := deliver(t, k.plugin, task(int64(i), tt.do))
		code := 0
		if len(a.ErrorCodes) > 0 {
			code = a.ErrorCodes[0]
		}
		if a.Outcome != tt.want || code != tt.code || a.RetryAfter != tt.after || a.Error != tt.text {
			t.Errorf("%s: got %+v", tt.do, a)
		}
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if a := deliver(t, k.plugin, task(int64(100+i), "ack")); a.Outcome != delivery.OutcomeDone {
				t.Errorf("one of many: got %+v", a)
			}
		})
	}
	wg.Wait()
	if st := k.plugin.Status(); st.InFlight != 0 || st.Credit < 8 || st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
}

func testTimeouts(t *testing.T, k *kindSetup) {
	a := deliver(t, k.plugin, task(1, "wait")) // it is told by a cancel, or by its own clock
	if a.Outcome != delivery.OutcomeRetry || !slices.Equal(a.ErrorCodes, []int{codeTimeout}) ||
		!strings.HasPrefix(a.Error, "plugin was not done after 200ms: context ") {
		t.Errorf("got %+v", a)
	}
	if st := k.plugin.Status(); st.InFlight != 0 {
		t.Errorf("an event that was answered holds its place: %+v", st)
	}
	a = deliver(t, k.plugin, task(2, "hang"))
	if a.Outcome != delivery.OutcomeRetry || !slices.Equal(a.ErrorCodes, []int{codeTimeout}) || a.Error != "plugin was not done after 200ms" {
		t.Errorf("got %+v", a)
	}
	if st := k.plugin.Status(); st.InFlight != 1 {
		t.Errorf("the event that was not answered does not hold its place: %+v", st)
	}
}

func testInterrupted(t *testing.T, k *kindSetup) {
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		a   delivery.Attempt
		err error
	}
	got := make(chan result, 1)
	go func() {
		a, err := k.plugin.Deliver(ctx, task(1, "wait"))
		got <- result{a, err}
	}()
	k.log.wait(t, 1, "begun")
	cancel()
	if r := <-got; r.err != nil || r.a.Outcome != delivery.OutcomeRetry {
		t.Errorf("got %+v, %v", r.a, r.err)
	}
}

func testCrash(t *testing.T, k *kindSetup) {
	const events = 8
	attempts := make(chan delivery.Attempt, events)
	for i := range events {
		go func() { attempts <- deliver(t, k.plugin, task(int64(i), "hang")) }()
	}
	k.log.wait(t, events, "begun")
	k.crash()
	for range events {
		if a := <-attempts; a.Outcome != delivery.OutcomeLost || !slices.Equal(a.ErrorCodes, []int{codeLost}) || a.RetryAfter != crashRetry {
			t.Errorf("got %+v", a)
		}
	}
	if a := deliver(t, k.plugin, task(1, "ack")); a.Outcome != delivery.OutcomeDone {
		t.Errorf("the next process: got %+v", a)
	}
	if st := k.plugin.Status(); st.Restarts == 0 {
		t.Errorf("status %+v", st)
	}
}

func testDrain(t *testing.T, k *kindSetup) {
	const events = 5
	attempts := make(chan delivery.Attempt, events)
	for i := range events {
		go func() { attempts <- deliver(t, k.plugin, task(int64(i), "slow")) }()
	}
	k.log.wait(t, events, "begun")
	k.Stop()
	for range events {
		if a := <-attempts; a.Outcome != delivery.OutcomeDone {
			t.Errorf("got %+v", a)
		}
	}
	k.log.wait(t, 1, "INFO plugin stopped")
	if st := k.plugin.Status(); st.State != StateStopped || st.PID != 0 {
		t.Errorf("status %+v", st)
	}
}

// add is a record that comes from elsewhere.
func (r *recorder) add(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, text)
	close(r.more)
	r.more = make(chan struct{})
}
