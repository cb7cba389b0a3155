package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// StartError says at which step a start failed, and what is left of the process
// to explain it.
type StartError struct {
	Step     Step
	Greeting Greeting // what was seen of the handshake
	Exit     error    // how the process ended, if it did by itself
	Output   string   // the last that it printed
	Err      error
}

// Error returns the text for the host's log and the status of the plugin.
func (e *StartError) Error() string {
	switch {
	case e.Exit != nil && e.Output != "":
		return fmt.Sprintf("%v (the process ended: %v; its last output: %s)", e.Err, e.Exit, e.Output)
	case e.Exit != nil:
		return fmt.Sprintf("%v (the process ended: %v)", e.Err, e.Exit)
	case e.Output != "":
		return fmt.Sprintf("%v; its last output: %s", e.Err, e.Output)
	}
	return e.Err.Error()
}

// Unwrap returns the error of the step.
func (e *StartError) Unwrap() error { return e.Err }

// Final reports whether the start fails again, however often it is tried, until
// the program or its settings change.
func (e *StartError) Final() bool {
	if _, refused := errors.AsType[*Refusal](e.Err); refused || catalog.IsFinal(e.Err) {
		return true
	}
	if errors.Is(e.Err, syscall.ENOEXEC) || errors.Is(e.Err, syscall.EACCES) {
		return true
	}
	text := e.Err.Error() // go-plugin has no other way to tell
	return strings.Contains(text, "incompatible API version") || strings.Contains(text, "unsupported plugin protocol") ||
		strings.Contains(text, "Unsupported plugin protocol")
}

// failed explains the failure of a step.
func (p *Process) failed(ctx context.Context, b *catalog.Build, step Step, err error) *StartError {
	e := &StartError{Step: step, Err: err}
	if cause := context.Cause(ctx); cause != nil && step != StepSpawn {
		e.Err = fmt.Errorf("%w: %w", cause, err)
	}
	if p.run == nil || step == StepSpawn {
		return e
	}
	if e.Greeting = p.Greeting; e.Greeting.Took == 0 {
		e.Greeting = p.run.greeting()
	}
	wait := p.Timings.Obituary // it may have died, or be about to
	if _, refused := errors.AsType[*Refusal](err); refused {
		wait = 0
	}
	if step == StepHandshake {
		wait = p.Timings.Reap // go-plugin has killed it
		switch cause := context.Cause(ctx); {
		case e.Greeting.Line != "": // for which it was killed: how it ended explains nothing
			wait = 0
		case cause != nil:
			e.Err = fmt.Errorf("no handshake: %w", cause)
		default:
			e.Err = errors.New("no handshake")
		}
	} else if ctx.Err() != nil { // likewise
		wait = 0
	}
	if wait > 0 && p.run.waitDone(wait) {
		e.Exit = p.run.Wait(ctx)
	}
	e.Output = p.run.out.tail()
	if e.Exit != nil {
		e.explain(b, p.run)
	}
	return e
}

// explain adds what the plugin's files say about a process that has ended: env, for
// one, is found, and says by itself that it does not find the interpreter.
func (e *StartError) explain(b *catalog.Build, r *runner) {
	problem, sure := b.WhyEnded(r.env, r.dir)
	if problem == nil {
		return
	}
	e.Err = catalog.Explained(problem, e.Err)
	if sure { // which is in the log as well
		e.Output, e.Exit = "", nil
	}
}
