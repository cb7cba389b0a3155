package sidecar

import (
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
	"github.com/hookswitch/hookswitch/sidecar/internal/rolling"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// observer hears of everything that happens, and passes it on to metrics, the
// feed, alerts and status. It runs in the path of the work; viewers read the feed
// elsewhere, at their own pace.
type observer struct {
	started  time.Time
	recent   *telemetry.Recent // lines of the log
	metrics  *telemetry.Metrics
	gauges   *telemetry.Gauges // measured when read
	health   *telemetry.Health
	attempts *telemetry.Attempts // under way
	tracer   *telemetry.Tracer   // nil unless spans are sent
	alerts   *telemetry.Alerts   // nil unless alerts are sent
	feed     *live.Feed          // what happens at the moment
	rejects  live.Rejects
	answers  rolling.Window // to webhooks: others are rejections
	strays   adminapi.Strays
	silence  silence

	// passer returns the app that answers events of a type itself, or nil.
	passer func(eventType string) accept.Passer
}

// accepted hears of every event that was stored, or was there already.
func (o *observer) accepted(e *delivery.Event, a store.Accepted, targets []string) {
	o.metrics.Event(e.Type, e.KeyLabel, e.ReceivedAt.Sub(e.SignedAt), a.Duplicate)
	kind := live.Accepted
	if a.Duplicate {
		kind = live.Duplicate
	}
	if p := o.passer(e.Type); p != nil { // it has had the event already
		targets = append([]string{p.Name()}, targets...)
	} else {
		o.silence.note(e.Type)
	}
	o.feed.Publish(live.Message{
		Kind: kind, At: e.ReceivedAt.UTC(), ID: e.ID, DeliveryID: a.DeliveryID, Type: e.Type,
		KeyLabel: e.KeyLabel, Skew: seconds(e.ReceivedAt.Sub(e.SignedAt)), Targets: slices.Clone(targets),
	})
}

// silence warns of events whose sender wants an answer and got an empty one, once
// for each event type.
type silence struct {
	log    *slog.Logger
	wanted map[string]string // answers, by event type
	said   sync.Map
}

func newSilence(log *slog.Logger) silence {
	wanted := make(map[string]string)
	for _, info := range event.Catalog() {
		if info.Answer != "" {
			wanted[info.Name] = info.Answer
		}
	}
	return silence{log: log, wanted: wanted}
}

func (s *silence) note(eventType string) {
	answer := s.wanted[eventType]
	if answer == "" {
		return
	}
	if _, said := s.said.LoadOrStore(eventType, true); !said {
		s.log.Warn("Telnyx wants an answer to an event and got an empty one: only a route with MODE=sync gives what the app says",
			"code", telemetry.CodeAnswerMissing, "event_type", eventType, "answer", answer)
	}
}

// passed is note for an event of a sync route, which the app itself has answered.
func (s *silence) passed(eventType string, a delivery.Attempt) {
	answer := s.wanted[eventType]
	if answer == "" || a.ResponseStatus/100 != 2 || len(a.ResponseBody) > 0 {
		return
	}
	if _, said := s.said.LoadOrStore(eventType+" "+a.Target, true); !said {
		s.log.Warn("Telnyx wants an answer to an event, and the app gave an empty one",
			"code", telemetry.CodeAnswerMissing, "event_type", eventType, "answer", answer, "target", a.Target, "status", a.ResponseStatus)
	}
}

// passed hears of every event that an app answered itself. Its sender has the
// answer: there is no second try.
func (o *observer) passed(e *delivery.Event, a delivery.Attempt) {
	state := a.Outcome.End()
	o.count(e, a, state, e.ReceivedAt)
	o.silence.passed(e.Type, a)
	a.N = max(a.N, 1)
	o.publish(e, a, state, time.Time{})
}

// attempted hears of every attempt at a job.
func (o *observer) attempted(t delivery.Task, a delivery.Attempt, state delivery.State, next time.Time) {
	o.count(t.Event, a, state, t.Job.RoundAt)
	o.publish(t.Event, a, state, next)
}

// count counts an attempt at an event that waited since a time.
func (o *observer) count(e *delivery.Event, a delivery.Attempt, state delivery.State, since time.Time) {
	o.metrics.Attempt(&a, state)
	switch state {
	case delivery.Done:
		o.metrics.Delivered(a.Target, max(0, a.FinishedAt.Sub(since)))
	case delivery.Dead:
		o.metrics.Dead(a.Target)
		o.alerts.Dead(a.Target, e.DeliveryID, a.Error)
	}
}

// publish puts an attempt into the feed.
func (o *observer) publish(e *delivery.Event, a delivery.Attempt, state delivery.State, next time.Time) {
	m := live.Message{
		Kind: live.Tried, At: a.FinishedAt.UTC(), ID: e.ID, DeliveryID: e.DeliveryID, Type: e.Type,
		Target: a.Target, N: a.N, Duration: seconds(a.FinishedAt.Sub(a.StartedAt)),
		Status: a.ResponseStatus, Error: a.Error, State: string(state),
	}
	switch state {
	case delivery.Dead:
		m.Kind = live.Dead
	case delivery.Pending:
		next = next.UTC()
		m.NextAt = &next
	}
	o.feed.Publish(m)
}

// rejected hears of every request that was turned away.
func (o *observer) rejected(r *http.Request, why accept.Rejection) {
	o.metrics.Rejected(why.Reason)
	now := time.Now().UTC()
	if why.Reason == accept.UnknownPath {
		o.strays.Note(untrusted.Prefix(r.URL.Path, maxPath), now)
	}
	m := live.Message{
		Kind: live.Rejected, At: now, Status: why.Status, Reason: why.Reason,
		Error: strings.TrimPrefix(why.Err.Error(), "webhook: "), RemoteAddr: r.RemoteAddr, Path: untrusted.Prefix(r.URL.Path, maxPath),
	}
	if o.rejects.Admit(now) {
		m.ID = o.rejects.Add(live.Capture(r, now, why.Status, why.Reason, m.Error))
	}
	o.feed.Publish(m)
}

// answered hears of every answer to a webhook.
func (o *observer) answered(result string, took time.Duration) {
	o.metrics.Answered(result, took)
	switch result {
	case telemetry.Accepted, telemetry.Duplicate:
		o.answers.Add(time.Now(), took)
	case telemetry.Rejected:
		o.answers.AddOther(time.Now())
	}
}

// maxPath is how much of the path of a request is kept.
const maxPath = 200

// seconds returns a duration in seconds, to the microsecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }
