package sdnotify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager is the receiving end: what systemd listens on.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "notify")
}

func TestMessages(t *testing.T) {
	names := map[string]string{"path": socketPath(t)}
	if runtime.GOOS == "linux" {
		names["abstract"] = fmt.Sprintf("@hookswitch-test-%d", os.Getpid())
	}
	for kind, name := range names {
		t.Run(kind, func(t *testing.T) {
			conn := manager(t, name)
			n, err := New(Config{Socket: name, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			n.Ready("receiving\nMAINPID=1")
			if got, want := receive(t, conn), "READY=1\nSTATUS=receiving MAINPID=1"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			n.Stopping("draining", 26*time.Second)
			if got, want := receive(t, conn), "STOPPING=1\nEXTEND_TIMEOUT_USEC=26000000\nSTATUS=draining"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// systemd takes a READY=1 for the end of a reload only if the clock in
// RELOADING=1 is later than its own signal.
func TestReloadingCarriesTheClock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd is on Linux only")
	}
	name := socketPath(t)
	conn := manager(t, name)
	n, err := New(Config{Socket: name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := monotonic()
	n.Reloading()
	after, _ := monotonic()
	lines := strings.Split(receive(t, conn), "\n")
	if lines[0] != "RELOADING=1" {
		t.Errorf("the message begins with %q", lines[0])
	}
	text, ok := strings.CutPrefix(lines[1], "MONOTONIC_USEC=")
	at, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || at < before || at > after {
		t.Errorf("got %q, want a time from %d to %d", lines[1], before, after)
	}
}

func TestNoSignOfLifeUnlessAlive(t *testing.T) {
	name := socketPath(t)
	conn := manager(t, name)
	asked := 0
	n, err := New(Config{
		Socket: name, WatchdogUS: "2000", WatchdogPID: strconv.Itoa(os.Getpid()),
		Alive: func(context.Context) error {
			if asked++; asked <= 3 {
				return errors.New("stuck")
			}
			return nil
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	first := receive(t, conn)
	second := receive(t, conn)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if first != "WATCHDOG=1" || second != first {
		t.Errorf("got %q and %q", first, second)
	}
	if asked < 4 {
		t.Errorf("a sign of life after %d questions; the first three were answered badly", asked)
	}
}

func TestWatchdogInterval(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		us, pid string
		want    time.Duration
		bad     bool
	}{
		{us: "30000000", pid: own, want: 15 * time.Second},
		{us: "30000000", want: 15 * time.Second},
		{us: "30000000", pid: "1"}, // of a parent
		{},
		{us: "0", bad: true},
		{us: "30s", bad: true},
		{us: "9223372036854775807", bad: true},
	} {
		got, err := interval(tt.us, tt.pid)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("interval(%q, %q) = %v, %v; want %v", tt.us, tt.pid, got, err, tt.want)
		}
	}
}

func TestWithoutServiceManager(t *testing.T) {
	n, err := New(Config{})
	if n != nil || err != nil {
		t.Fatalf("New without a socket = %v, %v", n, err)
	}
	n.Ready("nobody hears it") // a nil Notifier may be used
	n.Reloading()
	n.Stopping("", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Run(ctx); err != nil {
		t.Error(err)
	}
}

// The sidecar works without the service manager: what cannot be told is logged.
func TestNobodyListens(t *testing.T) {
	var log strings.Builder
	n, err := New(Config{Socket: filepath.Join(t.TempDir(), "nobody"), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	n.Ready("receiving")
	if !strings.Contains(log.String(), "READY=1") || !strings.Contains(log.String(), "nobody") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestUnusableSockets(t *testing.T) {
	for _, name := range []string{"relative", "vsock:2:1234"} {
		if _, err := New(Config{Socket: name}); err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
			t.Errorf("New(%q): %v, which does not name NOTIFY_SOCKET", name, err)
		}
	}
}

// TestManagerThatDoesNotRead: a queue that is full delays a message by its limit
// at most, and no other message by that of this one.
func TestManagerThatDoesNotRead(t *testing.T) {
	name := socketPath(t)
	manager(t, name) // nobody reads
	n, err := New(Config{Socket: name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if start := time.Now(); n.write("STATUS="+strings.Repeat("x", 1000)) != nil {
			if took := time.Since(start); took > 20*time.Second { // the limit is one
				t.Errorf("it waited %v", took)
			}
			return
		}
		if i > 100_000 {
			t.Fatal("the queue is never full")
		}
	}
}
