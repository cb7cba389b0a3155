//go:build unix

package pluginhost

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

func TestStop(t *testing.T) {
	t.Run("finishes the events that the plugin has, and leaves nothing", func(t *testing.T) {
		alive, waitGone := lifetime(t)
		t.Setenv("HS_TEST_ALIVE", alive)
		s := startSetup(t, func(c *Config) { c.Env = append(c.Env, "HS_TEST_ALIVE") }, "good")
		p := s.plugin(t, "good")
		const events = 10
		attempts := make(chan delivery.Attempt, events)
		for i := range events {
			go func() { attempts <- deliver(t, p, task(int64(i), "slow")) }()
		}
		s.log.wait(t, events, "begun")
		s.Stop()
		for range events {
			if a := <-attempts; a.Outcome != delivery.OutcomeDone {
				t.Errorf("got %+v", a)
			}
		}
		waitGone()
		s.log.wait(t, 1, "INFO plugin stopped")
		if left := ls(t, s.cfg.RunDir); !slices.Equal(left, []string{"lock"}) {
			t.Errorf("the run directory has %q", left)
		}
		if st := p.Status(); st.State != StateStopped || st.PID != 0 {
			t.Errorf("status %+v", st)
		}
	})
	t.Run("does not wait for handlers longer than the drain", func(t *testing.T) {
		s := startSetup(t, func(c *Config) { c.DrainTimeout = 50 * time.Millisecond }, "good")
		done := make(chan delivery.Attempt, 1)
		go func() { done <- deliver(t, s.plugin(t, "good"), task(1, "hang")) }()
		s.log.wait(t, 1, "begun")
		begun := time.Now()
		s.Stop()
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if a := <-done; a.Outcome != delivery.OutcomeLost || !slices.Equal(a.ErrorCodes, []int{75002}) {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("does not wait for a process that does not run", func(t *testing.T) {
		alive, waitGone := lifetime(t)
		t.Setenv("HS_TEST_ALIVE", alive)
		s := newSetup(t, func(c *Config) { c.Env = append(c.Env, "HS_TEST_ALIVE") }, "good")
		s.launch.Timings.Idle = 100 * time.Millisecond
		s.launch.Timings.Shutdown = 100 * time.Millisecond
		s.start(t)
		pause(t, s.plugin(t, "good").Status().PID)
		begun := time.Now()
		s.Stop()
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		waitGone()
		s.log.wait(t, 1, "WARN plugin was stopped by force")
	})
	t.Run("while a plugin starts", func(t *testing.T) {
		s := newSetup(t, nil, "silent")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_ = s.Start(ctx)
		begun := time.Now()
		s.Stop()
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
	t.Run("a plugin ignores the signals that a group gets", func(t *testing.T) {
		s := startSetup(t, nil, "good")
		p := s.plugin(t, "good")
		done := make(chan delivery.Attempt, 1)
		go func() { done <- deliver(t, p, task(1, "slow")) }()
		s.log.wait(t, 1, "begun")
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			if err := syscall.Kill(-p.Status().PID, sig); err != nil {
				t.Fatal(err)
			}
		}
		s.Stop()
		if a := <-done; a.Outcome != delivery.OutcomeDone {
			t.Errorf("got %+v", a)
		}
	})
}

// On Linux the kernel kills orphans before they could end by themselves, so
// this is the lifeline alone.
func TestPluginEndsWithItsLifeline(t *testing.T) {
	s := startSetup(t, nil, "good")
	p := s.plugin(t, "good")
	done := make(chan delivery.Attempt, 1)
	go func() { done <- deliver(t, p, task(1, "slow")) }()
	s.log.wait(t, 1, "begun")
	p.mu.Lock()
	p.ready.Cut()
	p.mu.Unlock()
	if a := <-done; a.Outcome != delivery.OutcomeDone {
		t.Errorf("the event that it had: got %+v", a)
	}
	s.log.wait(t, 1, "plugin is down", "exit status 0")

	// A handler that does not end does not keep the process.
	s.log.wait(t, 2, "plugin is ready")
	go func() { done <- deliver(t, p, task(2, "hang")) }()
	s.log.wait(t, 2, "begun")
	p.mu.Lock()
	p.ready.Cut()
	p.mu.Unlock()
	if a := <-done; a.Outcome != delivery.OutcomeLost || a.FinishedAt.Sub(a.StartedAt) > 5*time.Second {
		t.Errorf("the event that hung: got %+v", a)
	}
}

func TestKilledHostLeavesNoProcess(t *testing.T) {
	alive, waitGone := lifetime(t)
	s := newSetup(t, nil, "good", "unary") // for the directories; unary does not watch its lifeline
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := shortDir(t)
	host := &exec.Cmd{Path: exe, Args: []string{hostProgram}, Stderr: os.Stderr, Env: append(os.Environ(),
		"HS_TEST_DIR="+s.dir, "HS_TEST_RUN="+run, "HS_TEST_STATE="+s.cfg.StateDir, "HS_TEST_ALIVE="+alive)}
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewScanner(stdout)
	for out.Scan() && out.Text() != "ready" {
		if !strings.HasPrefix(out.Text(), "plugin:") {
			t.Errorf("the host says %q", out.Text())
		}
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait() // it was killed
	waitGone()

	// The next host clears up what the dead one could not.
	if left := ls(t, run); len(left) != 3 {
		t.Errorf("the run directory has %q, want the lock and two sockets", left)
	}
	d, err := process.OpenRunDir(run, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if left := ls(t, run); !slices.Equal(left, []string{"lock"}) {
		t.Errorf("after the sweep the run directory has %q", left)
	}
}

// pause stops a process from running, and returns when it does not.
func pause(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("wait for the stop: %v, status %v", err, status)
	}
}

func ls(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
