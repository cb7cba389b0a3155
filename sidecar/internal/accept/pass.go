package accept

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Passer is a target that answers an event itself, because the sender wants more than
// an acknowledgement: TeXML to follow, variables for an assistant, the result of a
// tool.
type Passer interface {
	// Name returns the target's name, such as "forward:texml".
	Name() string

	// Pass sends the event at once and returns the attempt and the answer,
	// which is nil if there was none in the target's own time, or before ctx
	// ended: with the cause delivery.ErrSenderGone if the sender no longer
	// waits. The caller closes its Body.
	Pass(ctx context.Context, e *delivery.Event) (delivery.Attempt, *http.Response)
}

// recordBudget is how long recording an event that was passed through may take. Only a
// stopping sidecar waits for it.
const recordBudget = 10 * time.Second

// answerBudget is how long a sender may take to read the answer.
const answerBudget = 10 * time.Second

// statusHungUp is recorded for a sender that did not wait for an answer. It is never
// sent.
const statusHungUp = 499

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
func (s *Server) pass(w http.ResponseWriter, r *http.Request, p Passer, e *delivery.Event, targets []string) {
	others := slices.DeleteFunc(slices.Clone(targets), func(name string) bool { return name == p.Name() })
	waiting, stop := s.whileSenderWaits(r)
	defer stop()
	ctx, span := s.cfg.Tracer.Attempt(waiting, telemetry.Try{Target: p.Name(), EventID: e.ID, EventType: e.Type, N: 1})
	attempt, answer := p.Pass(ctx, e)
	attempt.Target = p.Name()
	span.Attempted(string(attempt.Outcome), attempt.ResponseStatus, attempt.Error)
	if s.cfg.OnPass != nil {
		s.cfg.OnPass(e, attempt)
	}
	switch {
	case context.Cause(waiting) == delivery.ErrSenderGone:
		of(r).result, of(r).status = telemetry.HungUp, statusHungUp
	case answer != nil:
		of(r).result, of(r).status = telemetry.Passed, answer.StatusCode
	default:
		of(r).status = http.StatusBadGateway
	}
	if !giveAnswer(w, answer) {
		of(r).result = telemetry.HungUp
	}

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

// whileSenderWaits returns a context that ends when the sender hangs up, with that as
// its cause, or when the server closes.
func (s *Server) whileSenderWaits(r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(r.Context(), func() {
		if s.closing.Load() {
			cancel(context.Canceled)
		} else {
			cancel(delivery.ErrSenderGone)
		}
	})
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// giveAnswer passes an answer on, or says that there is none, and reports
// whether it could be sent. A sender that does not read holds nothing up for
// longer than answerBudget.
func giveAnswer(w http.ResponseWriter, answer *http.Response) bool {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(answerBudget))
	var sending error
	if answer == nil {
		http.Error(w, "the application did not answer", http.StatusBadGateway)
	} else {
		defer answer.Body.Close()
		h := w.Header()
		for name, values := range answer.Header {
			h[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		if _, err := io.Copy(w, answer.Body); !errors.Is(err, http.ErrBodyNotAllowed) { // of a 204
			sending = err
		}
	}
	sending = errors.Join(sending, control.Flush())
	_ = control.SetWriteDeadline(time.Time{}) // the connection may be used again
	return sending == nil
}
