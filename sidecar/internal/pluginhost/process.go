//go:build unix

package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// What the host and every plugin must agree on before they can speak;
// plugins/PROTOCOL.md has it for authors.
const (
	cookieKey       = "HOOKSWITCH_PLUGIN"
	cookieValue     = "hookswitch.plugin.v1"
	protocolVersion = 1
	messageMax      = 16 << 20 // bytes of one gRPC message
)

// process is one running plugin, described and configured, and the link to it.
// Its process is the host's own, except for a remote plugin: that is whatever
// answers at the other end of a connection, and dies when the connection does.
type process struct {
	run   *runner          // nil for a remote plugin
	dead  <-chan struct{}  // closed when the process has ended; nil for a remote plugin
	out   *output          // what it prints
	conn  *grpc.ClientConn // nil if it speaks JSON lines
	about *pluginpb.DescribeResponse
	link  *link.Link
	limit limits

	shutdown bool   // it may have go-plugin's controller, to be asked to end
	endStdio func() // waits for the end of readStdio; nil if that does not run

	lines *link.Lines // nil unless it speaks JSON lines
}

// silent reports whether the process has not said a word: a program that speaks
// JSON lines is taken to be ready when it has run for a moment.
func (p *process) silent() bool { return p.lines != nil && p.lines.Silent() }

// heard returns a channel that is closed when the process is not silent.
func (p *process) heard() <-chan struct{} {
	if p.lines != nil {
		return p.lines.Heard()
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

func newProcess(h *Host, r *runner) *process {
	return &process{run: r, dead: r.dead, out: r.out, limit: h.limits}
}

// newRunner returns a runner with what all plugins of the host have in common.
func (h *Host) newRunner(path string, env []string, log *slog.Logger) *runner {
	if a := h.res.account; a != nil && a.home != "" {
		env = append(slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "HOME=") }), "HOME="+a.home)
	}
	r := newRunner(path, h.cfg.WorkDir, append(env, h.res.environment(env)...), log)
	r.res = h.res
	r.res.every = h.limits.memory
	return r
}

// startProcess starts a plugin and sees it through until it can take events,
// or ctx ends. Of a process that failed nothing is left.
func startProcess(ctx context.Context, h *Host, b *catalog.Build, log *slog.Logger) (*process, error) {
	if err := h.res.permit(b.Entry); err != nil {
		return nil, err
	}
	start := startExec
	switch b.Kind {
	case catalog.KindJSONL:
		start = startJSONL
	case catalog.KindRemote:
		start = startRemote
	}
	p, err := start(ctx, h, b, log)
	if err == nil && p.run != nil {
		// Again: a Go program raises its limit of files as it begins, and may
		// have read the old one.
		p.run.res.limit(p.pidNumber(), log)
	}
	return p, err
}

// stop ends the process in good order, and with force where it does not
// comply. Every step is bounded. It returns what went wrong, for the log.
func (p *process) stop(drain time.Duration) error {
	// 1. No new events; wait for the results of those that are out.
	p.link.Close()
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	problem := p.link.Drain(ctx, p.limit.idle)
	cancel()
	// 2. Close the stream; whoever still waits is told that the event is lost.
	p.link.End(errors.New("plugin was stopped"))
	if p.run == nil { // who else uses the server is not known: it goes on
		p.kill()
		return problem
	}
	// 3. Ask it to end, in go-plugin's way.
	hung := p.shutdown && !p.askToEnd()
	// 4. Ask again, by the lifeline, then by signal. A process that does not
	// answer at all is not asked again. To one that reads lines the end of the
	// lifeline was the drain.
	p.run.cut()
	if asked := p.conn == nil && problem != nil; !hung && (asked || !p.run.waitDone(p.limit.lifeline)) {
		p.signal(syscall.SIGTERM)
		hung = !p.run.waitDone(p.limit.term)
	}
	if hung {
		problem = cmp.Or(problem, errors.New("the plugin did not end by itself"))
	}
	// 5. Kill what is left, and clean up.
	p.kill()
	return problem
}

// askToEnd makes the call by which go-plugin ends its plugins. It reports false
// if there was no answer, not even that there is no such call.
func (p *process) askToEnd() bool {
	ctx, cancel := context.WithTimeout(context.Background(), p.limit.shutdown)
	defer cancel()
	err := p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	return err == nil || ctx.Err() == nil
}

// end says how the process ended or, if it has not, how the link to it did. It
// is called when the link has ended, which a dying process is a moment behind.
func (p *process) end() error {
	timer := time.NewTimer(p.limit.obituary)
	defer timer.Stop()
	select {
	case <-p.dead:
		return p.run.Wait(context.Background())
	case <-timer.C:
		return p.link.Cause()
	}
}

// kill ends the process at once and removes all that it had. It may be called
// at any stage of the start, and again.
func (p *process) kill() {
	if p.link != nil {
		p.link.End(errors.New("plugin was killed"))
	}
	p.signal(syscall.SIGKILL)
	p.waitDone(p.limit.reap)
	if p.conn != nil {
		p.conn.Close() // and with it all calls and streams
	}
	if p.endStdio != nil {
		p.endStdio()
	}
	if p.run != nil && p.run.socket != "" {
		_ = os.RemoveAll(p.run.socket) // swept at the next start if it fails
	}
}

// signal sends sig to all processes of the plugin, if the host has any.
func (p *process) signal(sig syscall.Signal) {
	if p.run != nil {
		p.run.signal(sig)
	}
}

// waitDone waits until nothing is left of the process, for at most d.
func (p *process) waitDone(d time.Duration) bool {
	return p.run == nil || p.run.ID() == "" || p.run.waitDone(d)
}

// Diagnose says how the process ended, if it did, and its last words.
func (p *process) Diagnose(ctx context.Context) string {
	if p.run == nil {
		return p.link.Cause().Error()
	}
	return p.run.Diagnose(ctx)
}

// withTail adds the last words of the process to an error.
func (p *process) withTail(err error) error {
	if p.run == nil {
		return err
	}
	return p.run.withTail(err)
}

// pidNumber returns the id of the process, or 0 for a remote plugin.
func (p *process) pidNumber() int {
	if p.run == nil {
		return 0
	}
	n, _ := strconv.Atoi(p.run.ID())
	return n
}
