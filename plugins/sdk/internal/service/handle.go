package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// reasonMax caps the text of a result, which the host keeps with the event.
const reasonMax = 4 << 10

type loggerKey struct{}

// Logger returns the logger of the event that a handler's context belongs to,
// and whether there is one.
func Logger(ctx context.Context) (*slog.Logger, bool) {
	log, ok := ctx.Value(loggerKey{}).(*slog.Logger)
	return log, ok
}

// Delivery is package sdk's type of that name.
type Delivery struct {
	ID          string
	Replay      bool
	Round       int
	Crashes     int
	Traceparent string
	Tracestate  string
}

type deliveryKey struct{}

// DeliveryOf returns the delivery that a handler's context belongs to, and
// whether there is one.
func DeliveryOf(ctx context.Context) (Delivery, bool) {
	d, ok := ctx.Value(deliveryKey{}).(Delivery)
	return d, ok
}

// handle handles an event and calls done with the result, exactly once, even if
// the handler panics or ends its goroutine.
func (s *Service) handle(ctx context.Context, w *pluginpb.Event, done func(*pluginpb.Result)) {
	if d := w.GetTimeout().AsDuration(); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	log := s.cfg.Log.With("event_id", w.GetEventId(), "event_type", w.GetEventType(), "attempt", w.GetAttempt())
	ctx = context.WithValue(ctx, loggerKey{}, log)
	ctx = context.WithValue(ctx, deliveryKey{}, Delivery{
		ID:          w.GetDeliveryId(),
		Replay:      w.GetReplay(),
		Round:       int(w.GetRound()),
		Crashes:     int(w.GetCrashSuspect()),
		Traceparent: w.GetTraceparent(),
		Tracestate:  w.GetTracestate(),
	})

	// The result if the handler does not return.
	res := retry(w.GetSeq(), "exit", "the handler ended its goroutine")
	defer func() {
		if v := recover(); v != nil { // the Mux lets one through
			res = retry(w.GetSeq(), "panic", withStack(fmt.Sprintf("handler panicked: %v", v), debug.Stack()))
		}
		done(res)
	}()
	e := toEvent(w)
	err := s.cfg.Mux.HandleEvent(ctx, e)
	for _, warning := range e.Warnings {
		log.Warn("payload has a field of a surprising type", "error", warning)
	}
	res = toResult(ctx, w.GetSeq(), err)
	if p, ok := errors.AsType[*webhook.PanicError](err); ok {
		log.Error(p.Error(), "stack", string(p.Stack))
	}
}

// toEvent returns the event as an in-process handler gets it.
func toEvent(w *pluginpb.Event) *webhook.Event {
	e := webhook.Decode(w.GetContentType(), w.GetBody())
	e.Header = make(http.Header, len(w.GetHeaders()))
	for _, h := range w.GetHeaders() {
		e.Header.Add(h.GetName(), h.GetValue())
	}
	e.Attempt = max(int(w.GetAttempt()), 1)
	if v := w.GetVerification(); v != nil {
		e.Signature = webhook.Signature{
			Scheme:    v.GetScheme(),
			KeyLabel:  v.GetKeyLabel(),
			Timestamp: v.GetSignedAt().AsTime(),
			Skew:      v.GetSkew().AsDuration(),
		}
	}
	return e
}

// toResult translates a handler's error into the protocol's terms.
func toResult(ctx context.Context, seq uint64, err error) *pluginpb.Result {
	outcome, after := webhook.OutcomeOf(err)
	switch outcome {
	case webhook.Done:
		return &pluginpb.Result{Seq: seq, Outcome: &pluginpb.Result_Ack{Ack: &pluginpb.Ack{}}}
	case webhook.Dead:
		return &pluginpb.Result{Seq: seq, Outcome: &pluginpb.Result_Fail{
			Fail: &pluginpb.Fail{Reason: valid(err.Error())},
		}}
	}
	code, reason := "", err.Error()
	p, panicked := errors.AsType[*webhook.PanicError](err)
	switch {
	case panicked:
		code, reason = "panic", withStack(reason, p.Stack)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		code = "timeout"
	}
	res := retry(seq, code, reason)
	res.GetRetry().After = afterOrNil(after)
	return res
}

// withStack returns the reason and below it the frames from the one that
// panicked to the handler: those around them are the same for every panic.
func withStack(reason string, stack []byte) string {
	_, frames, found := strings.Cut(string(stack), "\npanic(")
	for range 2 { // the rest of that line, and where it is
		_, frames, _ = strings.Cut(frames, "\n")
	}
	frames, _, _ = strings.Cut(frames, "github.com/hookswitch/hookswitch/middleware/webhook.(*Mux).")
	if !found || frames == "" {
		frames = string(stack)
	}
	return reason + "\n\n" + strings.TrimSpace(frames)
}

func afterOrNil(d time.Duration) *durationpb.Duration {
	if d <= 0 {
		return nil
	}
	return durationpb.New(d)
}

func overload(seq uint64) *pluginpb.Result {
	return retry(seq, "overload", "more events than the plugin has granted")
}

func retry(seq uint64, code, reason string) *pluginpb.Result {
	return &pluginpb.Result{Seq: seq, Outcome: &pluginpb.Result_Retry{
		Retry: &pluginpb.Retry{Code: code, Reason: valid(reason)},
	}}
}

// valid cuts a text to size and drops bytes that are not UTF-8, which protobuf
// text cannot carry.
func valid(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), reasonMax)], "")
}
