package telemetry

import (
	"context"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// Tracer makes the spans of a sidecar:
//
//	POST /webhooks        a request, of kind server
//	└ hookswitch.store    the commit before its answer
//	⇠ hookswitch.attempt  at a target, in a trace of its own, linked to the request
//
// An attempt may come a day after its request, and several do, so it is not
// part of the request's trace but refers to it. What the target does belongs
// to the attempt: the app finds the header traceparent, a plugin its field.
//
// A nil Tracer, used without an exporter, makes none and costs nothing. It is
// safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	log      *slog.Logger
}

// Span is one piece of work. The methods of a nil Span do nothing.
type Span struct{ span trace.Span }

// The attributes of an event, besides those that HTTP has words for.
const (
	attrEventID    = "hookswitch.event.id"
	attrEventType  = "hookswitch.event.type"
	attrDeliveryID = "hookswitch.delivery_id"
	attrAttempt    = "hookswitch.attempt"
	attrTarget     = "hookswitch.target"
	attrOutcome    = "hookswitch.outcome"
	attrResult     = "hookswitch.result"
)

var w3c propagation.TraceContext

// Receive begins the span of a request by anybody. The sender's own trace
// becomes a link and nothing more: a stranger must not choose our trace ids, nor
// whether we sample.
func (t *Tracer) Receive(r *http.Request) (*http.Request, *Span) {
	if t == nil {
		return r, nil
	}
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path)),
	}
	sender := trace.SpanContextFromContext(w3c.Extract(context.Background(), propagation.HeaderCarrier(r.Header)))
	if sender.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: sender}))
	}
	ctx, span := t.tracer.Start(r.Context(), r.Method+" "+r.URL.Path, options...)
	return r.WithContext(ctx), &Span{span}
}

// Start begins a span within that of ctx.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, &Span{span}
}

// Try describes an attempt at a target for its span.
type Try struct {
	Target, EventID, EventType, DeliveryID string
	N                                      int
	Traceparent                            string // of the request that brought the event; may be empty
}

// Attempt begins the span of an attempt. It is sampled if the request was.
func (t *Tracer) Attempt(ctx context.Context, try Try) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String(attrTarget, try.Target), attribute.Int(attrAttempt, try.N),
		attribute.String(attrEventID, untrusted.Valid(try.EventID)), attribute.String(attrEventType, untrusted.Valid(try.EventType)),
		attribute.String(attrDeliveryID, try.DeliveryID))}
	if !trace.SpanContextFromContext(ctx).IsValid() { // otherwise the sender waits for it
		options = append(options, trace.WithNewRoot())
		request := trace.SpanContextFromContext(w3c.Extract(context.Background(), propagation.MapCarrier{"traceparent": try.Traceparent}))
		switch {
		case request.IsValid() && !request.IsSampled():
			// So that the target does not sample either.
			return trace.ContextWithRemoteSpanContext(ctx, request), nil
		case request.IsValid():
			options = append(options, trace.WithLinks(trace.Link{SpanContext: request}))
		}
	}
	ctx, span := t.tracer.Start(ctx, "hookswitch.attempt "+try.Target, options...)
	return ctx, &Span{span}
}

// Event sets the event that the span is about.
func (s *Span) Event(id, eventType string) {
	if s != nil {
		s.span.SetAttributes(attribute.String(attrEventID, untrusted.Valid(id)), attribute.String(attrEventType, untrusted.Valid(eventType)))
	}
}

// Delivery sets the id of the event's delivery.
func (s *Span) Delivery(id string) {
	if s != nil {
		s.span.SetAttributes(attribute.String(attrDeliveryID, id))
	}
}

// Answered ends the span of a request that had a result, as [Metrics] counts
// them.
func (s *Span) Answered(result string, status int) {
	if s == nil {
		return
	}
	s.span.SetAttributes(attribute.String(attrResult, result), attribute.Int("http.response.status_code", status))
	if result == Failed {
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}

// Attempted ends the span of an attempt. A status of 0 means none.
func (s *Span) Attempted(outcome string, status int, failure string) {
	if s == nil {
		return
	}
	s.span.SetAttributes(attribute.String(attrOutcome, outcome))
	if status != 0 {
		s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	if failure != "" {
		s.span.SetStatus(codes.Error, untrusted.Valid(failure))
	}
	s.span.End()
}

// End ends the span.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, untrusted.Valid(err.Error()))
	}
	s.span.End()
}

// Traceparent returns the place of ctx in a trace of ours, in the form of the
// header of that name, or "".
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier["traceparent"]
}
