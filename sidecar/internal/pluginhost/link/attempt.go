package link

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// Request is an event for a plugin, and how long that may take.
type Request struct {
	Task        delivery.Task
	Plugin      string // its name, for the record
	Traceparent string
	Crashes     int           // in how many attempts just before this one the process died
	Timeout     time.Duration // for the result
	Grace       time.Duration // for a late one, after a Cancel
}

// Deliver sends an event, for which Acquire has got a place, waits for the
// result and returns the record of the attempt. If the event is lost, the caller
// adds how the process ended.
func (l *Link) Deliver(ctx context.Context, r Request) (delivery.Attempt, Ending) {
	a := delivery.Attempt{
		JobID:         r.Task.Job.ID,
		Target:        r.Task.Job.Target,
		N:             r.Task.Job.Attempts + 1,
		StartedAt:     time.Now(),
		RequestURL:    "plugin://" + r.Plugin,
		RequestHeader: delivery.ClipHeader(r.Task.Event.Header),
	}
	res, how := l.exchange(ctx, r.Event(), r.Timeout, r.Grace)
	switch a.FinishedAt = time.Now(); how {
	case Unsent:
		return delivery.Attempt{}, how
	case Lost, Moved:
		a.Outcome, a.RetryAfter = delivery.OutcomeLost, crashRetry
		a.ErrorCodes = []int{codeLost}
	default:
		conclude(&a, res, how, r.Timeout)
	}
	return a, how
}

// Died is the error of an attempt whose process ended with the event. cause says
// how.
func Died(cause error) string { return fmt.Sprintf("plugin died with the event: %v", cause) }

// crashRetry is how soon an event is retried after its process died. The event is
// probably not to blame: a process that dies takes all of its events with it.
const crashRetry = 50 * time.Millisecond

// The result of a plugin in a delivery record, which is made for HTTP: a status,
// and Telnyx's codes for what went wrong.
const (
	statusAck   = 200
	statusRetry = 503
	statusFail  = 422

	codeTimeout = 75000 // delivery error; timeouts have no code of their own
	codeLost    = 75002 // could not connect
	codeFail    = 75499 // 4XX
	codeRetry   = 75599 // 5XX
)

// Result codes that mean something to the host.
const (
	retryTimeout = "timeout"
	retryPanic   = "panic"
)

// conclude completes the record with the result. timeout is what the plugin had,
// for the text.
func conclude(a *delivery.Attempt, res *pluginpb.Result, how Ending, timeout time.Duration) {
	switch out := res.GetOutcome().(type) {
	case *pluginpb.Result_Ack:
		a.Outcome, a.ResponseStatus = delivery.OutcomeDone, statusAck
		a.ResponseBody = clip(out.Ack.GetText())
		return
	case *pluginpb.Result_Fail:
		reason := cmp.Or(out.Fail.GetReason(), out.Fail.GetCode(), "the plugin gave no reason")
		a.Outcome, a.ResponseStatus = delivery.OutcomeFailed, statusFail
		a.ResponseBody = clip(reason)
		a.ErrorCodes = []int{codeFail}
		a.Error = "plugin failed the event permanently: " + FirstLine(reason)
		return
	}
	a.Outcome = delivery.OutcomeRetry
	reason := cmp.Or(res.GetRetry().GetReason(), res.GetRetry().GetCode())
	a.ResponseBody = clip(reason)
	switch {
	case how == TimedOut || res.GetRetry().GetCode() == retryTimeout:
		a.ErrorCodes, a.Cause = []int{codeTimeout}, delivery.CauseTimeout
		a.Error = because(fmt.Sprintf("plugin was not done after %v", timeout), reason)
	case how == Interrupted:
		a.ErrorCodes = []int{codeTimeout}
		a.Error = because("delivery to the plugin was interrupted", reason)
	default:
		a.ResponseStatus = statusRetry
		a.RetryAfter = min(max(res.GetRetry().GetAfter().AsDuration(), 0), retryMax)
		a.ErrorCodes = []int{codeRetry}
		if res.GetRetry().GetCode() == retryPanic {
			a.Cause = delivery.CausePanic
		}
		a.Error = because("plugin asks for a retry", reason)
	}
}

func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + FirstLine(reason)
}

// FirstLine shortens a reason to what the summary of an attempt says. The whole,
// perhaps with a stack, is in its response body.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return string(clip(line))
}

func clip(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(strings.ToValidUTF8(text[:min(len(text), delivery.RecordLimit)], ""))
}
