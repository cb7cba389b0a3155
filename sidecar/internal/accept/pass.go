package accept

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Passer is a target that answers an event itself, because the sender wants
// more than to know that it arrived: TeXML to follow, variables for an
// assistant, the result of a tool.
type Passer interface {
	// Name returns the target's name, such as "forward:texml".
	Name() string

	// Pass sends the event at once and returns the attempt and the answer,
	// which is nil if there was none in the target's own time. The caller
	// closes its Body.
	Pass(ctx context.Context, e *store.Event) (store.Attempt, *http.Response)
}

// recordBudget is how long the record of an event that was passed through may
// take. Nobody waits for it but a sidecar that stops.
const recordBudget = 10 * time.Second

// pass has a verified event answered by its target. The order of effects:
//
//  1. the target is called,
//  2. its answer is returned,
//  3. the event, the attempt and the jobs of other targets are stored.
//
// Nothing is promised by the answer, so a crash loses the record at most: the
// sender wants an answer now and has no use for a retry later. Without an
// answer the sender gets 502 and does what it was told to do then (Telnyx: the
// failover URL).
func (s *Server) pass(w http.ResponseWriter, r *http.Request, p Passer, e *store.Event, targets []string) {
	others := make([]string, 0, len(targets))
	for _, name := range targets {
		if name != p.Name() {
			others = append(others, name)
		}
	}
	ctx, span := s.cfg.Tracer.Attempt(r.Context(), telemetry.Try{Target: p.Name(), EventID: e.ID, EventType: e.Type, N: 1})
	attempt, answer := p.Pass(ctx, e)
	attempt.Target = p.Name()
	span.Attempted(string(attempt.Outcome), attempt.ResponseStatus, attempt.Error)
	if s.cfg.OnPass != nil {
		s.cfg.OnPass(e, attempt)
	}
	if answer != nil {
		of(r).result, of(r).status = telemetry.Passed, answer.StatusCode
		giveAnswer(w, answer)
	} else {
		of(r).status = http.StatusBadGateway
		http.Error(w, "the application did not answer", http.StatusBadGateway)
	}
	_ = http.NewResponseController(w).Flush() // whoever has gone has gone

	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), recordBudget)
	defer cancel()
	accepted, err := s.cfg.Store.Record(ctx, e, attempt, others)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "an event was passed through, but could not be recorded", "code", telemetry.CodePassUnrecorded, "event_id", e.ID,
			"event_type", e.Type, "target", p.Name(), "status", attempt.ResponseStatus, "error", err)
		return
	}
	s.accepted(ctx, e, accepted, others, "")
}

func giveAnswer(w http.ResponseWriter, answer *http.Response) {
	defer answer.Body.Close()
	h := w.Header()
	for name, values := range answer.Header {
		h[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body) // the sender has gone, or the answer was cut off
}
