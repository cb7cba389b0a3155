package pluginhost

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// How the result of a plugin looks in a delivery record, whose form is made
// for HTTP: a status, and Telnyx's codes for what went wrong.
const (
	statusAck   = 200
	statusRetry = 503
	statusFail  = 422

	codeTimeout = 75000 // delivery error; there is none of its own for this
	codeLost    = 75002 // could not connect
	codeFail    = 75499 // 4XX
	codeRetry   = 75599 // 5XX
)

// Result codes that mean something to the host.
const (
	retryTimeout = "timeout"
	retryPanic   = "panic"
)

// wireEvent returns the event of a task as plugins get it. crashes is in how
// many attempts just before this one the process died.
func wireEvent(t delivery.Task, traceparent string, timeout time.Duration, crashes int) *pluginpb.Event {
	e := t.Event
	w := &pluginpb.Event{
		EventId:        valid(e.ID),
		EventType:      valid(e.Type),
		OccurredAt:     valid(e.OccurredAt),
		ReceivedAt:     timestamppb.New(e.ReceivedAt),
		Body:           e.Body,
		Headers:        make([]*pluginpb.Header, 0, len(e.Header)),
		Attempt:        uint32(t.Job.Attempts + 1),
		Timeout:        durationpb.New(timeout),
		DeliveryId:     e.DeliveryID,
		Traceparent:    traceparent,
		IdempotencyKey: valid(e.Key),
		Replay:         t.Job.Round > 0,
		Round:          uint32(t.Job.Round),
		CrashSuspect:   uint32(crashes),
	}
	headers := make([]pluginpb.Header, len(e.Header)) // one allocation for all
	for i, h := range e.Header {
		headers[i].Name, headers[i].Value = valid(h[0]), valid(h[1])
		w.Headers = append(w.Headers, &headers[i])
		if w.ContentType == "" && http.CanonicalHeaderKey(h[0]) == "Content-Type" {
			w.ContentType = valid(h[1])
		}
	}
	if !e.SignedAt.IsZero() {
		w.Verification = &pluginpb.Verification{
			Scheme:   "telnyx", // the only one that the sidecar accepts
			KeyLabel: valid(e.KeyLabel),
			SignedAt: timestamppb.New(e.SignedAt),
			Skew:     durationpb.New(e.ReceivedAt.Sub(e.SignedAt)),
		}
	}
	return w
}

// valid replaces bytes that are not UTF-8, of which headers may have some:
// protobuf text cannot carry them.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// newAttempt begins the record of an attempt.
func newAttempt(t delivery.Task, plugin string) delivery.Attempt {
	return delivery.Attempt{
		JobID:         t.Job.ID,
		Target:        t.Job.Target,
		N:             t.Job.Attempts + 1,
		StartedAt:     time.Now(),
		RequestURL:    "plugin://" + plugin,
		RequestHeader: delivery.ClipHeader(t.Event.Header),
	}
}

// conclude completes the record with what came of the exchange. timeout is
// what the plugin had, for the text.
func conclude(a *delivery.Attempt, res *pluginpb.Result, how ending, timeout time.Duration) {
	a.FinishedAt = time.Now()
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
		a.Error = "plugin failed the event for good: " + firstLine(reason)
		return
	}
	a.Outcome = delivery.OutcomeRetry
	reason := cmp.Or(res.GetRetry().GetReason(), res.GetRetry().GetCode())
	a.ResponseBody = clip(reason)
	switch {
	case how == timedOut || res.GetRetry().GetCode() == retryTimeout:
		a.ErrorCodes, a.Cause = []int{codeTimeout}, delivery.CauseTimeout
		a.Error = because(fmt.Sprintf("plugin was not done after %v", timeout), reason)
	case how == interrupted:
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
	return what + ": " + firstLine(reason)
}

// firstLine is what the summary of an attempt says. The whole, perhaps with a
// stack, is in its response body.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return string(clip(line))
}

func clip(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(strings.ToValidUTF8(text[:min(len(text), delivery.RecordLimit)], ""))
}
