//go:build unix

package pluginhost

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

func TestStart(t *testing.T) {
	tests := []struct {
		plugin string
		name   string
		state  State
		errs   []string // parts of the error
	}{
		{"hookswitch-plugin-good", "a plugin of the SDK starts", StateReady, nil},
		{"noisy", "output before the handshake is tolerated", StateReady, nil},
		{"unary", "the minimal profile is enough", StateReady, nil},
		{"cert", "a certificate that was not asked for is ignored", StateReady, nil},
		{"exits", "an exit is explained by the plugin's last words", StateBackoff,
			[]string{"no handshake", "exit status 3", "cannot open the database"}},
		{"silent", "without a handshake the start times out", StateBackoff,
			[]string{"no handshake: plugin was not ready within 1s", "signal: killed"}},
		{"chatty", "too much output before the handshake is the end", StateBackoff,
			[]string{"no handshake", "64 lines on stdout and no handshake among them"}},
		{"future", "another version of the protocol is refused by name", StateFailed,
			[]string{"incompatible API version", "Plugin version: 99", "[1]"}},
		{"netrpc", "another protocol is refused by name", StateFailed, []string{"netrpc"}},
		{"elsewhere", "an address elsewhere is refused", StateBackoff, []string{"192.0.2.1:443", "loopback"}},
		{"outside", "a socket outside of its directory is refused", StateBackoff, []string{"/tmp/other.sock"}},
		{"nothing", "a plugin that wants nothing is refused", StateFailed, []string{"declares 0 event types"}},
		{"badpattern", "a malformed pattern is refused", StateFailed, []string{`pattern "message.*.sent"`}},
		{"stingy", "a plugin that never grants credit is not ready", StateBackoff,
			[]string{"plugin was not ready within 1s", "grants no credit"}},
		{"fussy", "settings that the plugin refuses are explained", StateFailed,
			[]string{"refuses its settings", `dsn: is required`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, func(c *Config) {
				if tt.plugin == "silent" || tt.plugin == "stingy" {
					c.StartTimeout = time.Second
				}
			}, tt.plugin)
			s.timings.backoffBase = time.Hour // one start
			s.timings.backoffMax = time.Hour
			s.launch.Timings.Lifeline = 10 * time.Millisecond
			s.start(t)
			var st Status
			if tt.state != StateReady {
				s.log.wait(t, 1, "restart_in")
			}
			st = s.Plugins()[0].Status()
			if st.State != tt.state {
				t.Fatalf("status %+v", st)
			}
			for _, part := range tt.errs {
				if !strings.Contains(st.LastError, part) {
					t.Errorf("error %q lacks %q", st.LastError, part)
				}
			}
			if tt.state == StateReady {
				if a := deliver(t, s.Plugins()[0], task(1, "ack")); a.Outcome != delivery.OutcomeDone {
					t.Errorf("got %+v", a)
				}
			}
		})
	}
}

func TestStartTellsWhatPluginsWant(t *testing.T) {
	var mu sync.Mutex
	described := make(map[string][]string)
	s := newSetup(t, func(c *Config) {
		c.OnDescribe = func(target string, patterns []string) {
			mu.Lock()
			defer mu.Unlock()
			described[target] = append(described[target], strings.Join(patterns, " "))
		}
	}, "fussy", "hookswitch-plugin-good")
	if got := s.plugin(t, "good").Patterns(); got != nil {
		t.Errorf("before the start: patterns %q", got)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "fussy.json"), []byte(`{"dsn":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	good := s.plugin(t, "good")
	if got := good.Patterns(); !slices.Contains(got, "test.ack") {
		t.Errorf("patterns %q", got)
	}
	if st := good.Status(); st.Version != "1.2.3" || st.Credit != 64 {
		t.Errorf("status %+v", st)
	}
	if st := s.plugin(t, "fussy").Status(); st.Credit != 5 {
		t.Errorf("its settings say 5 at a time: status %+v", st)
	}
	// A second process with the same description is not announced.
	deliver(t, good, task(1, "exit"))
	deliver(t, good, task(1, "ack"))
	mu.Lock()
	defer mu.Unlock()
	if len(described["plugin:good"]) != 1 || described["plugin:fussy"][0] != "fax.*" {
		t.Errorf("described: %q", described)
	}
}

func TestOutputCannotHurtTheHost(t *testing.T) {
	s := startSetup(t, func(c *Config) { c.Timeout = soon }, "good")
	p := s.plugin(t, "good")
	if a := deliver(t, p, task(1, "stderr")); a.Outcome != delivery.OutcomeDone {
		t.Fatalf("got %+v", a)
	}
	s.log.wait(t, 100, `INFO {"@message":1,"@level":{},"@timestamp":[]}`, "stream=stderr")
	s.log.wait(t, 100, "INFO seven")
	s.log.wait(t, 1, "ERROR pino speaks", "plugin=good", "n=1")
	pid := p.Status().PID
	if a := deliver(t, p, task(2, "flood")); a.Outcome != delivery.OutcomeDone {
		t.Fatalf("got %+v", a)
	}
	st := p.Status()
	if st.DroppedLines < 100_000 || st.PID != pid {
		t.Errorf("status %+v, with the old pid %d", st, pid)
	}
	s.log.wait(t, 2, "truncated=true")
	deliver(t, p, task(3, "print"))
	s.Stop()
	s.log.wait(t, 1, "WARN plugin writes too much; lines were dropped", "suppressed=")
}

func TestPrintedLinesReachTheLog(t *testing.T) {
	s := startSetup(t, nil, "noisy")
	s.log.wait(t, 20, "INFO loading part", "stream=stdout")
	s.log.wait(t, 1, "INFO and by the usual way", "plugin=noisy")
	deliver(t, s.plugin(t, "noisy"), task(1, "print"))
	s.log.wait(t, 1, "INFO printed", "stream=stdout")
}

func TestEnvironmentIsTheAllowList(t *testing.T) {
	for _, variable := range process.Environ(os.Environ(), nil) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value) // to be put back
		os.Unsetenv(name)
	}
	t.Setenv("PATH", "/bin:/usr/bin")
	t.Setenv("TZ", "UTC")
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	t.Setenv("TELNYX_API_KEY", "secret")
	t.Setenv("HOOKSWITCH_DATABASE_URL", "secret")
	t.Setenv("BILLING_DSN", "wanted")
	s := startSetup(t, func(c *Config) { c.Env = []string{"BILLING_DSN", "NOT_SET"} }, "good")
	deliver(t, s.plugin(t, "good"), task(1, "environ"))
	_, list, _ := strings.Cut(s.log.wait(t, 1, "INFO environ"), "names=")
	names := strings.Split(list, ",")
	slices.Sort(names)
	want := []string{
		"BILLING_DSN", "HOOKSWITCH_PLUGIN", "PATH", "PLUGIN_MAX_PORT", "PLUGIN_MIN_PORT",
		"PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_UNIX_SOCKET_DIR", "TZ", "https_proxy",
	}
	if !slices.Equal(names, want) {
		t.Errorf("the plugin has %q, want %q", names, want)
	}
}

func TestHungPluginIsReplaced(t *testing.T) {
	impatient := func(s *setup) {
		s.timings.pingEvery = 20 * time.Millisecond
		s.timings.pingWait = 50 * time.Millisecond
		s.timings.dump = 100 * time.Millisecond
		s.timings.stuck = 100 * time.Millisecond
		s.launch.Timings.Grace = 10 * time.Millisecond
		s.timings.backoffBase = time.Millisecond
	}
	t.Run("stopped process", func(t *testing.T) {
		s := newSetup(t, nil, "good")
		impatient(s)
		s.start(t)
		p := s.plugin(t, "good")
		pause(t, p.Status().PID)
		s.log.wait(t, 2, "plugin is ready")
		if a := deliver(t, p, task(1, "ack")); a.Outcome != delivery.OutcomeDone {
			t.Errorf("got %+v", a)
		}
		if got := p.Status().LastError; !strings.Contains(got, "3 pings in a row failed") {
			t.Errorf("last error %q", got)
		}
	})
	t.Run("plugin that reads and does not answer; its stacks are logged", func(t *testing.T) {
		s := newSetup(t, nil, "mute")
		impatient(s)
		s.timings.dump = soon
		s.start(t)
		a := deliver(t, s.plugin(t, "mute"), task(1, "ack"))
		if a.Outcome != delivery.OutcomeLost || !slices.Equal(a.ErrorCodes, []int{75002}) {
			t.Errorf("got %+v", a)
		}
		s.log.wait(t, 1, "SIGQUIT: quit", "stream=stderr")
	})
	t.Run("plugin whose credit is spent on abandoned events", func(t *testing.T) {
		s := newSetup(t, func(c *Config) { c.Timeout = 10 * time.Millisecond }, "single")
		impatient(s)
		s.start(t)
		p := s.plugin(t, "single")
		if a := deliver(t, p, task(1, "hang")); !slices.Equal(a.ErrorCodes, []int{75000}) {
			t.Errorf("got %+v", a)
		}
		if a := deliver(t, p, task(2, "ack")); a.Outcome != delivery.OutcomeDone {
			t.Errorf("got %+v", a)
		}
		if got := p.Status().LastError; !strings.Contains(got, "credit is spent") {
			t.Errorf("last error %q", got)
		}
	})
}

func TestProcessesOfThePluginDieWithIt(t *testing.T) {
	alive, waitGone := lifetime(t)
	t.Setenv("HS_TEST_ALIVE", alive)
	s := startSetup(t, func(c *Config) { c.Env = append(c.Env, "HS_TEST_ALIVE") }, "good")
	p := s.plugin(t, "good")
	deliver(t, p, task(1, "child"))
	s.log.wait(t, 1, "has a child")
	begun := time.Now()
	if err := syscall.Kill(p.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, 2, "plugin is ready")
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the restart waited %v for a process that the plugin had left", took)
	}
	deliver(t, p, task(1, "child"))
	s.Stop()
	waitGone()
}

// A process that has left the group survives, and holds the pipes of the plugin
// open.
func TestEscapedProcessHoldsNothingUp(t *testing.T) {
	s := newSetup(t, nil, "good")
	s.launch.Timings.Reap = soon
	s.start(t)
	p := s.plugin(t, "good")
	deliver(t, p, task(1, "escape"))
	begun := time.Now()
	if err := syscall.Kill(p.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, 2, "plugin is ready")
	deliver(t, p, task(1, "escape"))
	s.Stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("restart and stop took %v", took)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := newSetup(t, nil, "good")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	deliver(t, s.plugin(t, "good"), task(1, "ack"))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if st := s.plugin(t, "good").Status(); st.State != StateStopped {
		t.Errorf("status %+v", st)
	}
}

func TestWithoutPluginsNothingIsNeeded(t *testing.T) {
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "missing"), t.TempDir()} {
		h, err := New(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Run(ctx); err != nil || len(h.Plugins()) != 0 {
			t.Errorf("dir %q: %v, plugins %v", dir, err, h.Plugins())
		}
	}
}

// A plugin dies when the thread that forked it dies, unless the runner sees to
// it that this thread lives.
func TestPluginOutlivesThreads(t *testing.T) {
	s := startSetup(t, nil, "good")
	p := s.plugin(t, "good")
	pid := p.Status().PID
	for range 20 {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(runtime.LockOSThread) // the thread ends with the goroutine
		}
		wg.Wait()
	}
	deliver(t, p, task(1, "ack"))
	if st := p.Status(); st.PID != pid || st.Restarts != 0 {
		t.Errorf("status %+v, with the old pid %d", st, pid)
	}
}

func TestBackoff(t *testing.T) {
	l := defaultTimings()
	var got []string
	for _, n := range []int{0, 1, 2, 6, 7, 100} {
		got = append(got, fmt.Sprint(l.backoff(n, 0), " ", l.backoff(n, 1)))
	}
	want := []string{"0s 100ms", "0s 200ms", "0s 400ms", "0s 6.4s", "0s 12.8s", "0s 30s"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
