package link

import (
	"net/http"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// Event returns the event as plugins get it, without its seq.
func (r Request) Event() *pluginpb.Event {
	e, job := r.Task.Event, r.Task.Job
	w := &pluginpb.Event{
		EventId:        untrusted.Valid(e.ID),
		EventType:      untrusted.Valid(e.Type),
		OccurredAt:     untrusted.Valid(e.OccurredAt),
		ReceivedAt:     timestamppb.New(e.ReceivedAt),
		Body:           e.Body,
		Headers:        make([]*pluginpb.Header, 0, len(e.Header)),
		Attempt:        uint32(job.Attempts + 1),
		Timeout:        durationpb.New(r.Timeout),
		DeliveryId:     e.DeliveryID,
		Traceparent:    r.Traceparent,
		IdempotencyKey: untrusted.Valid(e.Key),
		Replay:         job.Round > 0,
		Round:          uint32(job.Round),
		CrashSuspect:   uint32(r.Crashes),
	}
	headers := make([]pluginpb.Header, len(e.Header)) // one allocation for all
	for i, h := range e.Header {
		headers[i].Name, headers[i].Value = untrusted.Valid(h[0]), untrusted.Valid(h[1])
		w.Headers = append(w.Headers, &headers[i])
		if w.ContentType == "" && http.CanonicalHeaderKey(h[0]) == "Content-Type" {
			w.ContentType = untrusted.Valid(h[1])
		}
	}
	if !e.SignedAt.IsZero() {
		w.Verification = &pluginpb.Verification{
			Scheme:   "telnyx", // the only one that the sidecar accepts
			KeyLabel: untrusted.Valid(e.KeyLabel),
			SignedAt: timestamppb.New(e.SignedAt),
			Skew:     durationpb.New(e.ReceivedAt.Sub(e.SignedAt)),
		}
	}
	return w
}
