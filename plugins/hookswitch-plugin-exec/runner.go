package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// pipeDelay is how long output is still read when the command has ended but
// something that it started still holds its pipes.
const pipeDelay = time.Second

// runner runs the command. It is safe for concurrent use.
type runner struct {
	settings settings // set once, before the first event

	mu      sync.Mutex
	ended   bool
	running map[*exec.Cmd]struct{}
}

// end kills the running commands, with their groups, and lets no other begin. It
// is for when the plugin is about to exit: they would outlive it.
func (r *runner) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for cmd := range r.running {
		kill(cmd)
	}
}

func (r *runner) start(cmd *exec.Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return errors.New("the plugin ends")
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if r.running == nil {
		r.running = make(map[*exec.Cmd]struct{})
	}
	r.running[cmd] = struct{}{}
	return nil
}

// finish kills the processes that a command has left.
func (r *runner) finish(cmd *exec.Cmd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kill(cmd)
	delete(r.running, cmd)
}

// handle runs the command for an event.
func (r *runner) handle(ctx context.Context, e *webhook.Event) error {
	within, cancel := context.WithTimeout(ctx, r.settings.Timeout)
	defer cancel()
	cmd := exec.CommandContext(within, r.settings.Command[0], r.settings.Command[1:]...)
	cmd.Dir = r.settings.Dir
	cmd.Env = slices.Concat(os.Environ(), facts(ctx, e))
	for name, value := range r.settings.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdin = bytes.NewReader(e.Raw) // it need not read it
	log := sdk.Log(ctx)
	stdout := newOutput(func(line string) { log.Info(line, "stream", "stdout") })
	stderr := newOutput(func(line string) { log.Warn(line, "stream", "stderr") })
	cmd.Stdout, cmd.Stderr = stdout, stderr
	began := time.Now()
	err := r.run(cmd)
	stdout.finish()
	stderr.finish()
	if err == nil {
		return nil
	}
	return r.explain(within, cmd, err, time.Since(began), stderr, stdout)
}

// run runs a command to its end, and kills what it has left.
func (r *runner) run(cmd *exec.Cmd) error {
	// The kernel is asked to kill the command when this plugin dies, which it
	// does when the thread that started the command ends: keep it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	lead(cmd)
	stopped := make(chan struct{})
	cmd.Cancel = func() error {
		terminate(cmd)
		go func() {
			select {
			case <-time.After(r.settings.Grace):
				kill(cmd)
			case <-stopped:
			}
		}()
		return nil
	}
	cmd.WaitDelay = r.settings.Grace + pipeDelay
	if err := r.start(cmd); err != nil {
		return err
	}
	err := cmd.Wait()
	close(stopped)
	r.finish(cmd)
	if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
		return nil // it did its work; something else held its output
	}
	return err
}

// explain returns the error that gives the event its outcome. The first line is
// the cause, and the end of the output follows.
func (r *runner) explain(ctx context.Context, cmd *exec.Cmd, err error, took time.Duration, stderr, stdout *output) error {
	var what string
	code := -1
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		what = fmt.Sprintf("exec: the command did not finish within %v", took.Round(time.Millisecond))
	case ctx.Err() != nil:
		what = "exec: the command was stopped because the event was given up"
	case cmd.ProcessState == nil:
		return fmt.Errorf("exec: start the command: %w", err)
	case cmd.ProcessState.Exited():
		code = cmd.ProcessState.ExitCode()
		what = fmt.Sprintf("exec: the command exited with %d", code)
	default:
		what = "exec: the command was ended: " + cmd.ProcessState.String()
	}
	printed := stderr.text()
	if strings.TrimSpace(printed) == "" {
		printed = stdout.text()
	}
	failure := errors.New(what)
	if last := lastLine(printed); last != "" {
		failure = fmt.Errorf("%s: %s\n\n%s", what, last, printed)
	}
	if slices.Contains(r.settings.FailCodes, code) {
		return webhook.Permanent(failure)
	}
	return failure
}

// facts are the variables that tell a command about its event.
func facts(ctx context.Context, e *webhook.Event) []string {
	delivery, _ := sdk.DeliveryOf(ctx)
	all := []string{
		"HOOKSWITCH_EVENT_TYPE=" + e.Type,
		"HOOKSWITCH_EVENT_ID=" + e.ID,
		"HOOKSWITCH_EVENT_KEY=" + e.Key(),
		"HOOKSWITCH_EVENT_OCCURRED_AT=" + e.OccurredAt.String(),
		"HOOKSWITCH_EVENT_CONTENT_TYPE=" + e.Header.Get("Content-Type"),
		"HOOKSWITCH_EVENT_ATTEMPT=" + strconv.Itoa(e.Attempt),
		"HOOKSWITCH_EVENT_REPLAY=" + strconv.FormatBool(delivery.Replay),
		"HOOKSWITCH_EVENT_DELIVERY_ID=" + delivery.ID,
	}
	if t := e.Signature.Timestamp; !t.IsZero() {
		all = append(all, "HOOKSWITCH_EVENT_SIGNED_AT="+t.UTC().Format(time.RFC3339))
	}
	if delivery.Traceparent != "" {
		all = append(all, "TRACEPARENT="+delivery.Traceparent, "TRACESTATE="+delivery.Tracestate)
	}
	for i, pair := range all {
		all[i] = strings.ReplaceAll(pair, "\x00", "\uFFFD") // no variable can have one
	}
	return all
}
