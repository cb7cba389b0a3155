// Package sdnotify reports the state of the sidecar to a service manager, in the
// protocol of systemd's sd_notify(3): that it is ready, reloading, stopping,
// and, at half the interval of the watchdog, that it is alive.
//
// It is a page of code, so it is our own. The protocol in short: a
// message is one datagram of NAME=VALUE lines, the socket may be in the file
// system or abstract ("@name"), and a reload must carry the monotonic clock so
// that the manager can tell its READY=1 from an earlier one.
package sdnotify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Config holds the values that the service manager put into the environment, and
// a check that the sidecar is alive.
type Config struct {
	Socket      string // NOTIFY_SOCKET; empty without a service manager
	WatchdogUS  string // WATCHDOG_USEC; empty without a watchdog
	WatchdogPID string // WATCHDOG_PID; the watchdog is ours if empty or our own

	// Alive is called before each sign of life; when it fails there is none,
	// and the service manager restarts the sidecar after its interval.
	Alive func(context.Context) error

	Log *slog.Logger
}

// Notifier sends messages to the service manager. A nil Notifier sends none. It
// is safe for concurrent use.
//
// A message that cannot be sent is logged and forgotten: the sidecar works
// without a service manager, and a manager that misses messages acts by itself.
type Notifier struct {
	addr  *net.UnixAddr
	every time.Duration // between signs of life; 0 for none
	alive func(context.Context) error
	log   *slog.Logger
}

// New returns the Notifier that cfg describes, or nil without a service manager.
func New(cfg Config) (*Notifier, error) {
	if cfg.Socket == "" {
		return nil, nil
	}
	if !strings.HasPrefix(cfg.Socket, "/") && !strings.HasPrefix(cfg.Socket, "@") {
		return nil, fmt.Errorf("sdnotify: NOTIFY_SOCKET is neither a path nor an abstract name: unset it, the service manager sets it itself")
	}
	every, err := interval(cfg.WatchdogUS, cfg.WatchdogPID)
	if err != nil {
		return nil, err
	}
	addr := &net.UnixAddr{Name: cfg.Socket, Net: "unixgram"}
	return &Notifier{addr: addr, every: every, alive: cfg.Alive, log: cfg.Log}, nil
}

// interval returns how often to give a sign of life: twice in the time that
// the watchdog allows.
func interval(us, pid string) (time.Duration, error) {
	if us == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil // none, or that of the parent whose environment we inherited
	}
	n, err := strconv.ParseInt(us, 10, 64)
	if err != nil || n <= 0 || n > int64(time.Duration(1<<63-1)/time.Microsecond) {
		return 0, errors.New("sdnotify: WATCHDOG_USEC is not a number of microseconds: set WatchdogSec= in the unit instead")
	}
	return time.Duration(n) * time.Microsecond / 2, nil
}

// Ready reports that the start or reload is over, with a line for the status.
func (n *Notifier) Ready(status string) { n.send("READY=1", "STATUS="+status) }

// Reloading reports that the configuration is being read again. Ready ends it.
func (n *Notifier) Reloading() {
	lines := []string{"RELOADING=1"}
	if us, ok := monotonic(); ok {
		lines = append(lines, "MONOTONIC_USEC="+strconv.FormatInt(us, 10))
	}
	n.send(append(lines, "STATUS=reading the configuration again")...)
}

// Stopping reports that the sidecar has begun to stop, and how long that may
// take, so that it is not killed meanwhile.
func (n *Notifier) Stopping(status string, limit time.Duration) {
	n.send("STOPPING=1", "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(limit.Microseconds(), 10), "STATUS="+status)
}

func (n *Notifier) send(lines ...string) {
	if n == nil {
		return
	}
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, "\n", " ") // a line break would begin another assignment
	}
	if err := n.write(strings.Join(lines, "\n")); err != nil {
		n.log.Warn("the service manager could not be told", "code", telemetry.CodeServiceManager, "message", lines[0], "error", err)
	}
}

// write connects each time, as sd_notify does: a manager that was restarted
// has a new socket of the same name.
func (n *Notifier) write(message string) error {
	conn, err := net.DialUnix("unixgram", nil, n.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The manager's queue may be full; nothing here may wait for that for long.
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// Run gives signs of life until ctx ends, as long as Alive says so.
func (n *Notifier) Run(ctx context.Context) error {
	if n == nil || n.every == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		if err := n.check(ctx); err == nil {
			n.send("WATCHDOG=1")
		} else if ctx.Err() == nil {
			n.log.Error("no sign of life for the service manager, which will restart this process", "code", telemetry.CodeNoSignOfLife, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (n *Notifier) check(ctx context.Context) error {
	if n.alive == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.every)
	defer cancel()
	return n.alive(ctx)
}
