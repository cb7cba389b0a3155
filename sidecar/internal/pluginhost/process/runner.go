//go:build unix

package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
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
	reaped  bool  // the pid may belong to somebody else now
	exit    error // how it ended; valid once dead is closed
	verdict error // why the host killed it, if it did so for a reason
	greeted Greeting
}

// Greeting is what was seen of the handshake of an executable.
type Greeting struct {
	Line  string        // empty if there was none
	Noise []string      // lines on stdout before it
	Took  time.Duration // from the start; 0 if it failed
}

// NoiseLines is how many lines are tolerated on stdout before the handshake.
const NoiseLines = 64

const (
	noiseBytes = 64 << 10 // tolerated on stdout before the handshake

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

// spawn tries again while the executable is busy. It is when it has just been
// written and another goroutine forked in that moment, so that for an instant
// a child held the file open.
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
	pumps.Go(func() { readLines(stderr, r.out.stderr) })
	pumps.Go(r.watchMemory)

	// While the dead leader is not reaped nobody else can get its pid, and so
	// killing its group hits the right one.
	waited := awaitExit(cmd.Process.Pid)
	if waited {
		r.endGroup()
	}
	err := cmd.Wait()
	if !waited {
		r.endGroup()
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
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
		_ = syscall.Kill(-r.pid, sig) // an error means that nobody is left
	}
}

// cut closes the lifeline, which asks the plugin to end.
func (r *runner) cut() {
	if r.lifeline != nil {
		r.lifeline.Close()
	}
}

// Write writes to the process's standard input, which is the lifeline.
func (r *runner) Write(p []byte) (int, error) { return r.lifeline.Write(p) }

// Close closes the lifeline, like cut.
func (r *runner) Close() error {
	r.cut()
	return nil
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
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.done:
		return true
	case <-timer.C:
		return false
	}
}

// handshakeLine is the form that go-plugin prescribes. What does not look like
// it is taken for ordinary output, which programs like to print at start.
var handshakeLine = regexp.MustCompile(`^\d+\|\d+\|(unix|tcp)\|`)

// IsHandshake reports whether a line that a program printed is a handshake.
func IsHandshake(line []byte) bool { return handshakeLine.Match(line) }

// readStdout passes the line of the handshake on to go-plugin and everything
// else to the log, until the end.
func (r *runner) readStdout(f *os.File) {
	lines, size := 0, 0
	readLines(f, func(line []byte, truncated bool) {
		if r.toPlugin == nil {
			r.out.stdout(line, truncated)
			return
		}
		if !truncated && handshakeLine.Match(line) {
			r.mu.Lock()
			r.greeted.Line = cutFields(string(line))
			r.mu.Unlock()
			_, _ = io.WriteString(r.toPlugin, cutFields(string(line))+"\n")
			r.toPlugin.Close()
			r.toPlugin = nil
			return
		}
		r.out.stdout(line, truncated)
		r.mu.Lock()
		r.greeted.Noise = append(r.greeted.Noise, strings.ToValidUTF8(string(line), "\uFFFD"))
		r.mu.Unlock()
		lines, size = lines+1, size+len(line)
		if lines >= NoiseLines || size >= noiseBytes {
			r.out.note(fmt.Sprintf("%d lines on stdout and no handshake among them", lines))
			r.toPlugin.Close()
			r.toPlugin = nil
		}
	})
	if r.toPlugin != nil {
		r.toPlugin.Close()
		r.toPlugin = nil
	}
}

// cutFields keeps the first five fields of the handshake. The sixth is the
// certificate of a plugin that speaks TLS, which the host did not ask for, and
// on which go-plugin would panic.
func cutFields(line string) string {
	fields := strings.SplitN(strings.TrimSpace(line), "|", 6)
	return strings.Join(fields[:min(len(fields), 5)], "|")
}

// Diagnose returns how the process ended, if it did, and its last words.
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

// greeting returns what was seen of the handshake so far.
func (r *runner) greeting() Greeting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.greeted
}

// withTail adds the last words of the process to an error.
func (r *runner) withTail(err error) error {
	if tail := r.out.tail(); tail != "" {
		return fmt.Errorf("%w; its last output: %s", err, tail)
	}
	return err
}

// PluginToHost refuses addresses that are not the plugin's own: a handshake can
// name any, and the host would send events there.
func (r *runner) PluginToHost(network, address string) (string, string, error) {
	switch network {
	case "unix":
		clean := filepath.Clean(address)
		if filepath.Dir(clean) != filepath.Clean(r.socket) {
			return "", "", fmt.Errorf("plugin names the socket %q, which is not in its directory %q", address, r.socket)
		}
		info, err := os.Lstat(clean)
		if err != nil {
			return "", "", fmt.Errorf("find the plugin's socket: %w", err)
		}
		if info.Mode().Type() != os.ModeSocket {
			return "", "", fmt.Errorf("plugin names %q, which is no socket", address)
		}
		return network, clean, nil
	case "tcp":
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !ap.Addr().IsLoopback() || ap.Port() == 0 {
			return "", "", fmt.Errorf("plugin names the address %q: only a loopback IP address and a port will do", address)
		}
		return network, address, nil
	}
	return "", "", net.UnknownNetworkError(network)
}

// HostToPlugin is for go-plugin's broker, which is not used.
func (r *runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
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

// Stdout is what go-plugin reads the handshake from.
func (r *runner) Stdout() io.ReadCloser { return r.handshake }

// Stderr is empty: go-plugin panics on some lines that it takes for JSON.
func (r *runner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }
