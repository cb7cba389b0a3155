package process

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// Process is one running plugin, described and configured, and the link to it.
// It is a child of the host, except for a remote plugin: that is whatever answers
// at the other end of a connection, and is dead when the connection is.
// Its methods are safe for concurrent use.
type Process struct {
	About    *pluginpb.DescribeResponse
	Link     *link.Link       // nil if the start ended before
	Conn     *grpc.ClientConn // nil if it speaks JSON lines
	Lines    *link.Lines      // nil unless it does
	Greeting Greeting         // what was seen of the handshake
	Timings  Timings

	run *runner // nil for a remote plugin

	shutdown bool   // it may have go-plugin's controller, to be asked to end
	endStdio func() // waits for the end of readStdio; nil if that does not run
}

// Remote reports whether the plugin runs elsewhere.
func (p *Process) Remote() bool { return p.run == nil }

// Dead returns a channel that is closed when the process has ended; nil for a
// remote plugin.
func (p *Process) Dead() <-chan struct{} {
	if p.run == nil {
		return nil
	}
	return p.run.dead
}

// DroppedLines returns how many lines the process printed too fast for the log.
func (p *Process) DroppedLines() int {
	if p.run == nil {
		return 0
	}
	return p.run.out.droppedLines()
}

// Silent reports whether the process has said nothing yet: a program that speaks
// JSON lines is taken to be ready when it has run for a moment.
func (p *Process) Silent() bool { return p.Lines != nil && p.Lines.Silent() }

// Heard returns a channel that is closed when the process is not silent.
func (p *Process) Heard() <-chan struct{} {
	if p.Lines != nil {
		return p.Lines.Heard()
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// Input returns the write end of the process's standard input, which is its
// lifeline.
func (p *Process) Input() *os.File { return p.run.lifeline }

// Cut ends the process's standard input, which asks it to end.
func (p *Process) Cut() { _ = p.run.Close() } // it may be closed already

// Stop ends the process in good order, and by force if it does not
// comply. Every step is bounded. It returns what went wrong, for the log.
func (p *Process) Stop(drain time.Duration) error {
	// 1. No new events; wait for the results of those that are out.
	p.Link.Close()
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	problem := p.Link.Drain(ctx, p.Timings.Idle)
	cancel()
	// 2. Close the stream; callers that still wait are told that the event is lost.
	p.Link.End(errors.New("plugin was stopped"))
	if p.run == nil { // others may use the server: it keeps running
		p.Kill()
		return problem
	}
	// 3. Ask it to end, in go-plugin's way.
	hung := p.shutdown && !p.askToEnd()
	// 4. Ask again, by the lifeline, then by signal. A process that does not
	// answer at all is not asked again. For a JSON-lines plugin the end
	// of the lifeline was the drain already.
	p.Cut()
	if asked := p.Conn == nil && problem != nil; !hung && (asked || !p.run.waitDone(p.Timings.Lifeline)) {
		p.Signal(syscall.SIGTERM)
		hung = !p.run.waitDone(p.Timings.Term)
	}
	if hung {
		problem = cmp.Or(problem, errors.New("the plugin did not end by itself"))
	}
	// 5. Kill what is left, and clean up.
	p.Kill()
	return problem
}

// askToEnd makes the call by which go-plugin ends its plugins. It reports false
// if there was no answer at all, not even that the call is unknown.
func (p *Process) askToEnd() bool {
	ctx, cancel := context.WithTimeout(context.Background(), p.Timings.Shutdown)
	defer cancel()
	err := p.Conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	return err == nil || ctx.Err() == nil
}

// End returns how the process ended or, if it has not, how the link to it did. It
// is called when the link has ended, which a dying process is a moment behind.
func (p *Process) End() error {
	select {
	case <-p.Dead():
		return p.run.Wait(context.Background())
	case <-time.After(p.Timings.Obituary):
		return p.Link.Cause()
	}
}

// Kill ends the process at once and removes all that it had. It may be called
// at any stage of the start, and again.
func (p *Process) Kill() {
	if p.Link != nil {
		p.Link.End(errors.New("plugin was killed"))
	}
	p.Signal(syscall.SIGKILL)
	p.WaitDone(p.Timings.Reap)
	if p.Conn != nil {
		p.Conn.Close() // and with it all calls and streams
	}
	if p.endStdio != nil {
		p.endStdio()
	}
	if p.run != nil && p.run.socket != "" {
		_ = os.RemoveAll(p.run.socket) // swept at the next start if it fails
	}
}

// Signal sends sig to all processes of the plugin, if the host has any.
func (p *Process) Signal(sig syscall.Signal) {
	if p.run != nil {
		p.run.signal(sig)
	}
}

// WaitDone waits until nothing is left of the process, for at most d.
func (p *Process) WaitDone(d time.Duration) bool {
	return p.run == nil || p.run.ID() == "" || p.run.waitDone(d)
}

// Diagnose returns how the process ended, if it did, and its last output.
func (p *Process) Diagnose() string { return p.run.Diagnose(context.Background()) }

// WithTail adds the last output of the process to an error.
func (p *Process) WithTail(err error) error {
	if p.run == nil {
		return err
	}
	return p.run.withTail(err)
}

// PID returns the id of the process, or 0 for a remote plugin.
func (p *Process) PID() int {
	if p.run == nil {
		return 0
	}
	n, _ := strconv.Atoi(p.run.ID())
	return n
}
