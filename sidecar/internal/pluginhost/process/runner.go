package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// runner runs one plugin process on behalf of go-plugin, in place of
// go-plugin's own runner, which a bad plugin can use to crash or hang the host.
// Compared with it:
//
//   - The process leads a process group, and all of the group dies with it.
//   - Its stdin is a lifeline: a pipe whose other end only the host holds, so
//     that the plugin reads end-of-file when the host is gone for any reason.
//   - Where the system can, the kernel kills it when the host dies.
//   - Both outputs are always read, whatever the plugin writes, and are never
//     shown to go-plugin except for the one line of the handshake.
//   - Every wait is bounded.
//
// It implements go-plugin's runner.Runner.
type runner struct {
	path   string   // of the executable
	args   []string // argv
	dir    string   // working directory of the process; empty for the host's
	env    []string // complete environment; go-plugin's part is added by prepare
	socket string   // the directory for the plugin's socket, set by prepare
	out    *output  // where the lines that the plugin writes end up

	res     Resources
	groups  *groups       // measures memory
	measure time.Duration // how often

	// readOut reads stdout until its end. By default it looks for the
	// handshake of go-plugin.
	readOut func(stdout *os.File)

	lifeline  *os.File // write end of the child's stdin
	handshake *io.PipeReader
	toPlugin  *io.PipeWriter // go-plugin's end of handshake; owned by readStdout

	dead chan struct{} // closed when the process has ended and its group was killed
	done chan struct{} // closed when, besides, all output has been read

	mu      sync.Mutex
	pid     int   // 0 before the start
	doomed  bool  // to be killed as soon as it has started
	reaped  bool  // the pid may belong to another process now
	exit    error // how it ended; valid once dead is closed
	verdict error // why the host killed it, if it did so for a reason
	greeted Greeting
}

const (
	busyTries = 5 // starts tried while the executable is open for writing
	busyWait  = 200 * time.Millisecond

	// drainWait bounds the reading of what an ended process has left in its
	// pipes. A process that escaped the group can hold them open for ever.
	drainWait = 200 * time.Millisecond
)

func newRunner(path, dir string, env []string, log *slog.Logger) *runner {
	r := &runner{
		path: path,
		dir:  dir,
		env:  env,
		out:  newOutput(log),
		dead: make(chan struct{}),
		done: make(chan struct{}),
	}
	r.handshake, r.toPlugin = io.Pipe()
	r.args = []string{path}
	r.readOut = r.readStdout
	return r
}

// prepare takes over what go-plugin wants the plugin to know.
func (r *runner) prepare(cmd *exec.Cmd, socketDir string) error {
	r.env = append(r.env, cmd.Env...)
	r.socket = socketDir
	return r.res.Account.Own(socketDir)
}

// Start starts the process. ctx bounds only that, not the life of the process.
func (r *runner) Start(ctx context.Context) error {
	var pipes [3]struct{ r, w *os.File }
	for i := range pipes {
		var err error
		if pipes[i].r, pipes[i].w, err = os.Pipe(); err != nil {
			for _, p := range pipes[:i] {
				p.r.Close()
				p.w.Close()
			}
			return fmt.Errorf("make pipes: %w", err)
		}
	}
	in, out, errs := pipes[0], pipes[1], pipes[2]
	started := make(chan error, 1)
	go func() {
		// The kernel sends the parent-death signal when the thread that
		// forked ends, not the process. So this goroutine keeps its thread
		// until the child is dead.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd, err := r.spawn(ctx, in.r, out.w, errs.w)
		in.r.Close()
		out.w.Close()
		errs.w.Close()
		if err != nil {
			in.w.Close()
			out.r.Close()
			errs.r.Close()
			started <- r.explainSpawn(err)
			return
		}
		r.lifeline = in.w
		r.mu.Lock()
		r.pid = cmd.Process.Pid
		if r.doomed {
			r.signalGroup(syscall.SIGKILL)
		}
		r.mu.Unlock()
		r.out.log = r.out.log.With("pid", cmd.Process.Pid) // nobody writes to it yet
		r.res.limit(cmd.Process.Pid, r.out.log)
		started <- nil
		r.own(cmd, out.r, errs.r)
	}()
	return <-started
}

// spawn tries again while the executable is busy. It can be just after it was
// written: if another goroutine forked in that moment, a child held the file open
// for an instant.
func (r *runner) spawn(ctx context.Context, stdin, stdout, stderr *os.File) (*exec.Cmd, error) {
	for try := 1; ; try++ {
		cmd := &exec.Cmd{
			Path:        r.path,
			Args:        r.args,
			Dir:         r.dir,
			Env:         r.env,
			Stdin:       stdin,
			Stdout:      stdout,
			Stderr:      stderr,
			SysProcAttr: processAttr(r.res.Account),
		}
		err := cmd.Start()
		if err == nil || !errors.Is(err, syscall.ETXTBSY) || try == busyTries {
			return cmd, err
		}
		select {
		case <-time.After(busyWait):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// explainSpawn explains an error of the start of a process.
func (r *runner) explainSpawn(err error) error {
	s := catalog.Spawn{Path: r.path, Shown: r.path, Dir: r.dir, Environ: r.env}
	if filepath.IsAbs(r.args[0]) {
		s.Shown = r.args[0] // as people know it, not its private copy
	}
	if r.res.Account != nil {
		s.User = r.res.Account.name
	}
	return s.Explain(err)
}

// own sees the process through to its end.
func (r *runner) own(cmd *exec.Cmd, stdout, stderr *os.File) {
	var pumps sync.WaitGroup
	pumps.Go(func() { r.readOut(stdout) })
	pumps.Go(func() { link.ReadLines(stderr, lineMax, r.out.stderr) })
	pumps.Go(r.watchMemory)

	// Until the dead leader is reaped its pid is not reused, so killing its
	// group hits the right one.
	waited := awaitExit(cmd.Process.Pid)
	if waited {
		r.endGroup()
	}
	err := cmd.Wait()
	if !waited {
		r.endGroup()
	}
	err = cmp.Or(err, errors.New("exit status 0"))
	r.mu.Lock()
	r.exit = cmp.Or(r.verdict, err)
	r.mu.Unlock()
	close(r.dead)
	r.lifeline.Close()

	// Both ends of a pipe support deadlines; an error means that it is closed.
	_ = stdout.SetReadDeadline(time.Now().Add(drainWait))
	_ = stderr.SetReadDeadline(time.Now().Add(drainWait))
	pumps.Wait()
	stdout.Close()
	stderr.Close()
	r.out.flush()
	close(r.done)
}

func (r *runner) endGroup() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signalGroup(syscall.SIGKILL)
	r.reaped = true
}

// signal sends sig to the whole process group. It does nothing when the
// process has not started or has ended.
func (r *runner) signal(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid == 0 && sig == syscall.SIGKILL {
		r.doomed = true
	}
	r.signalGroup(sig)
}

// signalGroup sends sig to the process group while its number is its own. The
// caller holds the lock.
func (r *runner) signalGroup(sig syscall.Signal) {
	if r.pid != 0 && !r.reaped {
		_ = killGroup(r.pid, sig) // an error means that nobody is left
	}
}

// Write writes to the process's standard input, which is the lifeline.
func (r *runner) Write(p []byte) (int, error) { return r.lifeline.Write(p) }

// Close closes the lifeline, which asks the plugin to end.
func (r *runner) Close() error {
	if r.lifeline == nil {
		return nil
	}
	return r.lifeline.Close()
}

// Dead returns a channel that is closed when the process has ended.
func (r *runner) Dead() <-chan struct{} { return r.dead }

// Print takes a line of standard output that is not of a protocol.
func (r *runner) Print(line []byte, truncated bool) {
	r.out.stdout(line[:min(len(line), lineMax)], truncated || len(line) > lineMax)
}

// Misread takes what is wrong with a line that was meant to be.
func (r *runner) Misread(text string) { r.out.misread(text) }

// waitDone waits until nothing is left of the process, for at most d.
func (r *runner) waitDone(d time.Duration) bool {
	select {
	case <-r.done:
		return true
	case <-time.After(d):
		return false
	}
}

// Diagnose returns how the process ended, if it did, and its last output.
func (r *runner) Diagnose(context.Context) string {
	var b strings.Builder
	if r.waitDone(2 * drainWait) {
		r.mu.Lock()
		fmt.Fprintf(&b, "the process ended: %v", r.exit)
		r.mu.Unlock()
	} else {
		b.WriteString("the process is running")
	}
	if tail := r.out.tail(); tail != "" {
		b.WriteString("; its last output: " + tail)
	}
	return b.String()
}

// withTail adds the last output of the process to an error.
func (r *runner) withTail(err error) error {
	if tail := r.out.tail(); tail != "" {
		return fmt.Errorf("%w; its last output: %s", err, tail)
	}
	return err
}

// Wait waits for the end of the process.
func (r *runner) Wait(context.Context) error {
	<-r.dead
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.exit
}

// Kill kills the process group. It does not wait for the end.
func (r *runner) Kill(context.Context) error {
	r.signal(syscall.SIGKILL)
	return nil
}

// Name returns the path of the executable.
func (r *runner) Name() string { return r.path }

// ID returns the process id, or "" before the start.
func (r *runner) ID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid == 0 {
		return ""
	}
	return strconv.Itoa(r.pid)
}
