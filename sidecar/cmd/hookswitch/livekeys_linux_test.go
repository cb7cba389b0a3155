package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hookswitch/hookswitch/internal/testkit/until"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
)

// pty is a terminal of a program under test.
type pty struct {
	master, slave *os.File

	mu  sync.Mutex
	out bytes.Buffer // guarded by mu
}

func newPTY(t *testing.T) *pty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs pseudo terminals:", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	p := &pty{master: master, slave: slave}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.out.Write(buf[:n])
			p.mu.Unlock()
		}
	}()
	return p
}

// start runs a program whose terminal this is.
func (p *pty) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
}

// eventually waits until something holds.
func (p *pty) eventually(t *testing.T, what string, holds func(screen string) bool) {
	t.Helper()
	until.Nil(t, patience, what, func() error {
		p.mu.Lock()
		screen := p.out.String()
		p.mu.Unlock()
		if !holds(screen) {
			return fmt.Errorf("not in:\n%q", screen)
		}
		return nil
	})
}

func (p *pty) shows(t *testing.T, text string) {
	t.Helper()
	p.eventually(t, text, func(screen string) bool { return strings.Contains(screen, text) })
}

func (p *pty) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		t.Fatal(err)
	}
}

// state returns the flags of the line discipline.
func (p *pty) state(t *testing.T) uint32 {
	t.Helper()
	now, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return now.Lflag
}

// liveServer is an admin API with a stream of what is sent to it, and replays.
func liveServer(t *testing.T) (url string, messages chan<- string, replays <-chan adminapi.ReplayRequest) {
	lines, asked := make(chan string, 10), make(chan adminapi.ReplayRequest, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/stream", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.Flush()
		for {
			select {
			case line := <-lines:
				fmt.Fprintf(w, "data: %s\n\n", line)
				_ = rc.Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("POST /api/v1/replays", func(w http.ResponseWriter, r *http.Request) {
		var req adminapi.ReplayRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		asked <- req
		fmt.Fprint(w, `{"id":"1","state":"running","total":1}`)
	})
	mux.HandleFunc("GET /api/v1/events/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"id":"e-2","type":"call.hangup","status":"dead","attempts":[{"n":1,"target":"forward:default","outcome":"dead","error":"gone %s"}]}`, r.PathValue("id"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server.URL, lines, asked
}

// watching starts a tail on a terminal, and returns the terminal's state before.
func watching(t *testing.T, url string) (p *pty, cmd *exec.Cmd, before uint32) {
	p = newPTY(t)
	before = p.state(t)
	cmd = program(t, []string{"TERM=xterm", "NO_COLOR=1", "HOOKSWITCH_STORE=file:" + t.TempDir()}, "tail", "--addr", url)
	p.start(t, cmd)
	p.shows(t, "keys: r retry")
	p.shows(t, "watching")
	if p.state(t)&(unix.ICANON|unix.ECHO) != 0 {
		t.Error("keys wait for Enter")
	}
	return p, cmd, before
}

// TestLiveKeys presses every key, on a terminal, and leaves it as it was.
func TestLiveKeys(t *testing.T) {
	t.Parallel()
	url, messages, replays := liveServer(t)
	p, cmd, before := watching(t, url)
	p.press(t, "r")
	p.shows(t, "nothing that was shown has failed")
	p.press(t, "c")
	p.shows(t, "no event was shown yet")
	messages <- `{"kind":"accepted","id":"e-1","delivery_id":"d-1","type":"message.received"}`
	messages <- `{"kind":"dead","id":"e-2","delivery_id":"d-2","type":"call.hangup","target":"forward:default","state":"dead","n":3,"error":"gone"}`
	p.shows(t, "dead after 3")
	p.press(t, "\x1b[A") // an arrow
	p.press(t, "r")
	if req := <-replays; len(req.IDs) != 1 || req.IDs[0] != "d-2" || len(req.To) != 1 || req.To[0] != "forward:default" {
		t.Errorf("retry: %+v", req)
	}
	p.shows(t, "e-2 is delivered again to forward:default")
	p.press(t, "o")
	p.shows(t, "attempt 1 at forward:default")
	p.shows(t, "gone d-2")
	p.press(t, "c")
	p.shows(t, "\x1b]52;c;"+base64.StdEncoding.EncodeToString([]byte("e-2"))+"\a")
	p.press(t, "/HANGUX\x7fp\n")
	p.shows(t, `only lines with "HANGUp" are shown`)
	messages <- `{"kind":"accepted","id":"e-3","delivery_id":"d-3","type":"fax.received"}`
	messages <- `{"kind":"accepted","id":"e-4","delivery_id":"d-4","type":"call.hangup"}`
	p.shows(t, "e-4")
	p.press(t, "/\n")
	p.shows(t, "1 line were not shown")
	p.shows(t, "everything is shown")
	p.eventually(t, "hidden line", func(screen string) bool { return !strings.Contains(screen, "e-3") })
	p.press(t, "?")
	p.press(t, "q")
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if p.state(t) != before {
		t.Error("the terminal is not as it was")
	}
}

// TestTerminalIsRestored: whatever ends or stops the process.
func TestTerminalIsRestored(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			url, _, _ := liveServer(t)
			p, cmd, before := watching(t, url)
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // by a signal, or not
			if p.state(t) != before {
				t.Error("the terminal is not as it was")
			}
		})
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		url, messages, _ := liveServer(t)
		p, cmd, before := watching(t, url)
		if err := cmd.Process.Signal(syscall.SIGTSTP); err != nil {
			t.Fatal(err)
		}
		p.eventually(t, "the state before", func(string) bool { return p.state(t) == before })
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		p.eventually(t, "keys again", func(string) bool { return p.state(t)&unix.ICANON == 0 })
		messages <- `{"kind":"accepted","id":"e-9","delivery_id":"d-9","type":"fax.received"}`
		p.shows(t, "e-9")
		p.press(t, "q")
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}
