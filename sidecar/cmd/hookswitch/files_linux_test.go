package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// TestTooManyOpenFiles takes every file descriptor that it could still have
// from a running sidecar. It says so with a code and by its readiness, and is
// well when there are some again.
func TestTooManyOpenFiles(t *testing.T) {
	env, key := home(t)
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := startProcess(t, env, key, log, log, "run")
	kept := &http.Client{Timeout: patience} // over one connection, which is there already
	unready := func() string {
		res, err := kept.Get(r.here.Admin + "/api/v1/status")
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		var s adminapi.Status
		if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
			return err.Error()
		}
		return s.Unready
	}
	if text := unready(); text != "" {
		t.Fatalf("before: %s", text)
	}
	setLimit := func(n uint64) {
		limit := unix.Rlimit{Cur: n, Max: 20000}
		if err := unix.Prlimit(r.cmd.Process.Pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
			t.Skipf("the limit of another process cannot be set here: %v", err)
		}
	}
	setLimit(firstFree(t, r.cmd.Process.Pid))
	waiting, err := net.Dial("tcp", strings.Split(strings.TrimPrefix(r.here.Webhooks, "http://"), "/")[0])
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	poll(t, func() error {
		if text := unready(); text != "files failed" {
			return errors.New(text)
		}
		text, err := os.ReadFile(log.Name())
		if !strings.Contains(string(text), "level=ERROR") || !strings.Contains(string(text), "code=files-exhausted") {
			err = fmt.Errorf("the log: %s", text)
		}
		return err
	})
	setLimit(10000)
	poll(t, func() error {
		if text := unready(); text != "" {
			return errors.New(text)
		}
		return nil
	})
	if status, _ := r.send(t, http.DefaultClient); status != http.StatusOK {
		t.Errorf("afterwards an event was answered %d", status)
	}
	if code := r.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(log.Name())
	if n := strings.Count(string(text), "code=files-exhausted"); err != nil || n > 60 {
		t.Errorf("%d lines, %v", n, err)
	}
}

// firstFree returns the lowest number that no open file of a process has.
func firstFree(t *testing.T, pid int) uint64 {
	t.Helper()
	for n := uint64(0); ; n++ {
		_, err := os.Lstat(filepath.Join("/proc", strconv.Itoa(pid), "fd", strconv.FormatUint(n, 10)))
		if errors.Is(err, os.ErrNotExist) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
