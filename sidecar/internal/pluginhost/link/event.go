package link

import (
	"net/http"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// Event returns the event as plugins get it, but for its seq.
func (r Request) Event() *pluginpb.Event {
	e, job := r.Task.Event, r.Task.Job
	w := &pluginpb.Event{
		EventId:        valid(e.ID),
		EventType:      valid(e.Type),
		OccurredAt:     valid(e.OccurredAt),
		ReceivedAt:     timestamppb.New(e.ReceivedAt),
		Body:           e.Body,
		Headers:        make([]*pluginpb.Header, 0, len(e.Header)),
		Attempt:        uint32(job.Attempts + 1),
		Timeout:        durationpb.New(r.Timeout),
		DeliveryId:     e.DeliveryID,
		Traceparent:    r.Traceparent,
		IdempotencyKey: valid(e.Key),
		Replay:         job.Round > 0,
		Round:          uint32(job.Round),
		CrashSuspect:   uint32(r.Crashes),
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
