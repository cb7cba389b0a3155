// Command hookswitch-plugin-exec runs a command for each event: a script in any
// language, without a server and without a protocol.
//
// It needs settings, in exec.json beside it:
//
//	{
//	  "command": ["/usr/local/bin/on-fax", "--archive"],
//	  "events":  ["fax.received", "call.*"]
//	}
//
//	command      the program and its arguments, without a shell. For a shell:
//	             ["/bin/sh", "-c", "…"].
//	events       which events; all of them if left out
//	concurrency  how many commands run at the same time; 4
//	timeout      how long one may run; "25s". It should be less than the
//	             sidecar's own, HOOKSWITCH_TIMEOUT.
//	grace        how long it has between SIGTERM and SIGKILL then; "1s"
//	dir          where it runs; the plugins' working directory
//	env          variables to add, an object
//	fail_codes   exit codes that mean never again; [65, 100]
//
// The command gets the body of the webhook on its standard input, exactly the
// bytes that were signed, and these variables besides PATH, HOME and the others
// that the sidecar gives to plugins:
//
//	HOOKSWITCH_EVENT_TYPE          message.received
//	HOOKSWITCH_EVENT_ID            as Telnyx sent it; may be empty
//	HOOKSWITCH_EVENT_KEY           the same for every copy of the event, and never empty
//	HOOKSWITCH_EVENT_OCCURRED_AT   as Telnyx sent it; may be empty
//	HOOKSWITCH_EVENT_CONTENT_TYPE  of the body
//	HOOKSWITCH_EVENT_ATTEMPT       which try this is, from 1
//	HOOKSWITCH_EVENT_REPLAY        true if somebody asked for the event again
//	HOOKSWITCH_EVENT_DELIVERY_ID   of the delivery record
//	HOOKSWITCH_EVENT_SIGNED_AT     when it was signed
//	TRACEPARENT, TRACESTATE        if the sidecar traces
//
// Its exit code is the outcome, in the numbers of sysexits.h:
//
//	0            done
//	65, 100      never again: the event becomes a dead letter (fail_codes)
//	75 and else  again, by the sidecar's schedule
//
// So is a signal, and a timeout: again. What the command prints is logged, at
// most 100 lines of it, and the end of it is in the delivery record if the
// command failed.
//
// A command leads a process group; when it ends or its time is up, the rest of
// the group is killed. So is the group of a command that is still running when
// the plugin ends, because the sidecar stops or replaces it and has waited long
// enough: the event comes again. Only a plugin that is killed cannot do that. On
// Linux the kernel then kills the command, but not the processes it started.
//
// For each command under way the plugin holds the body and at most 100 kB for
// its output, however much is printed. The commands' own memory is not limited:
// HOOKSWITCH_PLUGIN_MEMORY is for the plugin's own process group. "ulimit -v" in
// a shell limits a command, and MemoryMax= of the service limits everything.
//
// Events come at least once. A command that must not act twice remembers
// HOOKSWITCH_EVENT_KEY.
package main

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// settings is the content of exec.json.
type settings struct {
	Command     []string          `json:"command" required:"true" desc:"program and arguments; no shell"`
	Patterns    []string          `json:"events" desc:"event types, such as call.*; all if there are none"`
	Concurrency int               `json:"concurrency" default:"4" desc:"how many commands run at the same time"`
	Timeout     time.Duration     `json:"timeout" default:"25s" desc:"how long a command may run"`
	Grace       time.Duration     `json:"grace" default:"1s" desc:"between SIGTERM and SIGKILL when it has run too long"`
	Dir         string            `json:"dir" desc:"where commands run"`
	Env         map[string]string `json:"env" desc:"variables to add"`
	FailCodes   []int             `json:"fail_codes" default:"[65,100]" desc:"exit codes that mean never again"`
}

// Events and MaxInFlight tell the sidecar what to send.
func (s *settings) Events() []string { return s.Patterns }
func (s *settings) MaxInFlight() int { return s.Concurrency }

// Validate finds the command, so that a mistake shows at once and not with the
// first event.
func (s *settings) Validate() error {
	var errs []error
	if len(s.Command) == 0 {
		errs = append(errs, sdk.Invalid("command", "must name a program"))
	} else if _, err := exec.LookPath(s.Command[0]); err != nil {
		errs = append(errs, sdk.Invalid("command[0]", "%v", err))
	}
	if s.Concurrency < 1 || s.Concurrency > 256 {
		errs = append(errs, sdk.Invalid("concurrency", "must be from 1 to 256"))
	}
	if s.Timeout <= 0 {
		errs = append(errs, sdk.Invalid("timeout", "must be above 0"))
	}
	if s.Grace < 0 {
		errs = append(errs, sdk.Invalid("grace", "must not be negative"))
	}
	for _, code := range s.FailCodes {
		if code < 1 || code > 255 {
			errs = append(errs, sdk.Invalid("fail_codes", "must be exit codes from 1 to 255, not %d", code))
		}
	}
	return errors.Join(errs...)
}

func main() {
	var r runner
	r.plugin().Serve()
	r.end()
}

func (r *runner) plugin() sdk.Plugin {
	var mux webhook.Mux
	mux.Handle("*", r.handle)
	return sdk.Plugin{
		Name: "exec",
		Mux:  &mux,
		Configure: sdk.Settings(func(_ context.Context, s *settings) error {
			r.settings = *s
			return nil
		}),
	}
}
