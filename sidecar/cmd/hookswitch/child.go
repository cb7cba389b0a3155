package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// child is the app that "hookswitch run -- CMD" starts when the sidecar is
// ready, and stops when the sidecar has delivered the events under way:
//
//  1. told to stop, the sidecar drains; the app is still up,
//  2. the app and all it has started get SIGTERM,
//  3. and SIGKILL if they have not ended within the limit.
//
// An app that ends by itself ends the sidecar, which drains (events not taken
// stay on disk) and exits with the app's code. Processes that the app leaves
// behind are stopped at once: when none is left, the group's number may be
// reused.
//
// The app has a process group of its own, or Ctrl-C would reach it before the
// drain; so it cannot read from the terminal, and its standard input is empty.
type child struct {
	cmd   *exec.Cmd
	limit time.Duration
	log   *slog.Logger

	begin   func() // starts it when the sidecar is ready; nil before runWith
	started bool
	done    chan struct{} // closed when the process has ended, or did not start
	err     error         // of the process; read after done

	stop func() error  // ends the app and what it has started, once
	gone chan struct{} // closed when stop is done
}

// newChild returns the app of a command line, not yet started.
func newChild(args []string, limit time.Duration) (*child, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return nil, usageError("%q cannot be started: %w", args[0], err)
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr // the files themselves, without a pipe
	ownGroup(cmd)
	a := &child{cmd: cmd, limit: limit, done: make(chan struct{}), gone: make(chan struct{})}
	a.stop = sync.OnceValue(a.end)
	return a, nil
}

// start starts the app and calls ended when it has ended.
func (a *child) start(environ []string, ended func()) {
	a.cmd.Env = environ
	begun := make(chan struct{})
	go func() {
		// Its death signal, where there is one, is sent when the thread that
		// started it ends.
		runtime.LockOSThread()
		a.err = a.cmd.Start()
		a.started = a.err == nil
		close(begun)
		if a.started {
			a.log.Info("the app is started", "pid", a.cmd.Process.Pid, "command", a.cmd.Args[0])
			a.err = a.cmd.Wait()
			a.log.Info("the app has ended", "pid", a.cmd.Process.Pid, "state", a.cmd.ProcessState.String())
		}
		close(a.done)
		ended()
		_ = a.stop() // runWith asks for the result again
	}()
	<-begun
}

// ended reports whether the app has ended.
func (a *child) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// result returns the end of an app that ended by itself, as the exit code of the
// sidecar.
func (a *child) result() error {
	if !a.started {
		return fmt.Errorf("the app could not be started: %w", a.err)
	}
	if code := exitCode(a.cmd.ProcessState); code != 0 {
		return &exitError{code, fmt.Errorf("the app has ended: %s", a.cmd.ProcessState)}
	}
	return nil
}

// end ends the app, which has nothing left to do, and what it has started.
func (a *child) end() error {
	defer close(a.gone)
	if !a.left() {
		return nil // nothing may be signalled: the number may be another's
	}
	if err := a.endGroup(false); err != nil {
		a.log.Warn("the app cannot be told to stop", "code", telemetry.CodeAppSignal, "error", err)
	}
	limit := time.NewTimer(a.limit)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for a.left() {
		select {
		case <-tick.C:
			continue
		case <-limit.C:
		}
		who := "the app"
		if a.ended() {
			who = "the app has ended, but what it had started"
		}
		_ = a.endGroup(true)
		<-a.done
		return fmt.Errorf("%s had not stopped within %s of SIGTERM and was killed: give it more time with --app-stop-timeout", who, a.limit)
	}
	return nil // with whatever code: it was told to stop
}

// endGroup asks the app and what it has started to end, or kills them.
func (a *child) endGroup(kill bool) error {
	if a.cmd.Process == nil {
		return nil
	}
	return signalGroup(a.cmd.Process.Pid, kill)
}

// left reports whether the app or anything of its group is still there.
func (a *child) left() bool {
	return a.started && (!a.ended() || groupAlive(a.cmd.Process.Pid))
}

// kill ends the app and what it has started at once, if they are still there:
// their number may be another's by then.
func (a *child) kill() {
	select {
	case <-a.gone:
	default:
		_ = a.endGroup(true)
	}
}

// appStopTimeout is how long an app may take to stop, unless a flag says so.
const appStopTimeout = 5 * time.Second

// runWith runs a sidecar and the app beside it, which is started when the
// remains of the last one have been ended.
func (a *child) runWith(ctx context.Context, cfg config.Config, s *sidecar.Sidecar, log *slog.Logger, swept <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.log = log
	mark, file := rand.Text(), filepath.Join(s.Dir(), appFile)
	note := func(r appRun) {
		if err := r.write(s.Dir()); err != nil {
			log.Warn("the app is not recorded: if the sidecar is killed, the next start cannot end what is left of the app", "code", telemetry.CodeAppLeft, "file", file, "error", err)
		}
	}
	key := ""
	if cfg.Resigns() {
		key = s.ForwardKey()
	}
	begun := false
	a.begin = func() {
		select {
		case <-swept:
		case <-ctx.Done():
			return // the sidecar is stopping, and would stop the app at once
		}
		begun = true
		note(appRun{Mark: mark, Command: a.cmd.Args[0]})
		a.start(append(childEnv(config.Environ(), key), appMark+"="+mark), cancel)
		if a.cmd.Process != nil {
			onAbort(ctx, a.kill)
			passSignals(a.cmd, a.done)
			pid := a.cmd.Process.Pid
			note(appRun{pid, startOf(pid), mark, a.cmd.Args[0]})
		}
	}
	err := s.Run(ctx)
	if !begun {
		return err
	}
	if a.ended() {
		err = errors.Join(a.result(), err)
	}
	err = errors.Join(err, a.stop())
	if !a.left() {
		_ = os.Remove(file) // if that fails the next start looks again
	}
	return err
}

// childEnv returns the environment of the app: that of the sidecar, without the
// sidecar's own variables. With a key, the app finds it where it looks for
// Telnyx's.
func childEnv(environ []string, key string) []string {
	own := []string{"HOOKSWITCH_", appMark + "=", "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES="}
	if key != "" {
		own = append(own, "TELNYX_PUBLIC_KEY=", "TELNYX_PUBLIC_KEY_FILE=")
	}
	env := slices.DeleteFunc(slices.Clone(environ), func(line string) bool {
		return slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(line, prefix) })
	})
	if key != "" {
		env = append(env, "TELNYX_PUBLIC_KEY="+key)
	}
	return env
}

// lastWordsKey is the context key of the work still done when a second signal ends
// the process: an atomic.Pointer[func()].
type lastWordsKey struct{}

// onAbort calls do when a second signal ends the process.
func onAbort(ctx context.Context, do func()) {
	if last, ok := ctx.Value(lastWordsKey{}).(*atomic.Pointer[func()]); ok {
		last.Store(&do)
	}
}
