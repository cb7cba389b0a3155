package main

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndLeftover: what is left is ended if it is the app's, and left alone if
// its number has become another's.
func TestEndLeftover(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  string
		last func(pid int) appRun
		ends bool
	}{
		{"the process that was started", "", func(pid int) appRun { return appRun{Group: pid, Started: startOf(pid), Mark: "a"} }, true},
		{"a process with the mark", appMark + "=a", func(pid int) appRun { return appRun{Group: pid, Started: "1 in x", Mark: "a"} }, true},
		{"one that was killed in the moment of the start", appMark + "=a1", func(int) appRun { return appRun{Mark: "a1"} }, true},
		{"another process of this number", "", func(pid int) appRun { return appRun{Group: pid, Started: "1 in x", Mark: "a"} }, false},
		{"one of this number and time, before a reboot", "", func(pid int) appRun {
			ticks, _, _ := strings.Cut(startOf(pid), " in ")
			return appRun{Group: pid, Started: ticks + " in another", Mark: "a"}
		}, false},
		{"the app of another sidecar", appMark + "=b", func(pid int) appRun { return appRun{Group: pid, Started: "1 in x", Mark: "a"} }, false},
		{"a file that says nothing", "", func(pid int) appRun { return appRun{Group: pid} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("sleep", "600")
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), tt.env}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				if ended != nil {
					<-ended
				}
			})
			dir := t.TempDir()
			if err := tt.last(cmd.Process.Pid).write(dir); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			endLeftover(dir, time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
			if _, err := os.Stat(filepath.Join(dir, appFile)); err == nil {
				t.Error("the file is still there")
			}
			if tt.ends {
				<-ended
				ended = nil
			} else if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("the process is gone: %v", err)
			}
			if said := strings.Contains(log.String(), "code=app-left"); said != tt.ends {
				t.Errorf("log: %s", &log)
			}
		})
	}
}
