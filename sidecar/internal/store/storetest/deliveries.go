package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

func reopen(t *testing.T, open OpenFunc) {
	dir := t.TempDir()
	s := open(t, dir)
	done, failed, claimed := newEvent(1), newEvent(2), newEvent(3)
	accept(t, s, done, target)
	complete(t, s, target, delivery.OutcomeDone, delivery.Done)
	accept(t, s, failed, target)
	task := claim(t, s, target, t0.Add(time.Hour), 1)[0]
	finish(t, s, attempt(task, delivery.OutcomeRetry), delivery.Pending, t0.Add(time.Minute))
	accept(t, s, claimed, target)
	claim(t, s, target, t0.Add(time.Hour), 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	defer s.Close()
	tasks := claim(t, s, target, t0.Add(time.Hour), 2)
	if tasks[0].Event.ID != claimed.ID || tasks[1].Event.ID != failed.ID || tasks[1].Job.Attempts != 1 {
		t.Errorf("after reopening, pending jobs are %+v, %+v", tasks[0].Job, tasks[1].Job)
	}
	if d := recordOf(t, s, done.ID); !d.Delivered() {
		t.Errorf("after reopening, the delivered event has jobs %+v", d.Jobs)
	}
	got, err := s.Accept(t.Context(), newEvent(1), []string{target})
	if err != nil || !got.Duplicate {
		t.Errorf("after reopening, a duplicate got %+v, error %v", got, err)
	}
	if seq := accept(t, s, newEvent(4), target); seq <= claimed.Seq {
		t.Errorf("after reopening, Seq went from %d to %d", claimed.Seq, seq)
	}
}

func lookup(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(1)
	e.ID = "c9c0797e-901d-4349-a33c-c2c8f31a92c2"
	e.DeliveryID = "F5586561-8FF0-4291-A0AC-84FE544797BD"
	accept(t, s, e, target)
	word := newEvent(2)
	word.ID = "Evt_abc"
	accept(t, s, word)
	none := newEvent(3)
	none.ID = ""
	accept(t, s, none)

	for _, tt := range []struct {
		name, id string
		want     *delivery.Event
	}{
		{"the event id", e.ID, e},
		{"the event id in capitals", strings.ToUpper(e.ID), e},
		{"the delivery id", e.DeliveryID, e},
		{"the delivery id in small letters", strings.ToLower(e.DeliveryID), e},
		{"an id that is no UUID", "Evt_abc", word},
		{"an id that is no UUID, in another case", "evt_abc", nil},
		{"the delivery id of an event without id", none.DeliveryID, none},
		{"no id", "", nil},
		{"an unknown UUID", "00000000-0000-4000-8000-000000000000", nil},
		{"a wildcard", "%", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == nil {
				_, err := s.Delivery(t.Context(), tt.id)
				wantErr(t, "delivery", err, store.ErrNotFound)
				return
			}
			same(t, "event", recordOf(t, s, tt.id).Event, tt.want)
		})
	}
}

func listFinal(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	unhandled, pending, retrying, half, whole := newEvent(1), newEvent(2), newEvent(3), newEvent(4), newEvent(5)
	accept(t, s, unhandled)
	accept(t, s, retrying, "plugin:retry")
	task := claim(t, s, "plugin:retry", t0.Add(time.Hour), 1)[0]
	finish(t, s, attempt(task, delivery.OutcomeRetry), delivery.Pending, t0.Add(time.Hour))
	accept(t, s, half, target, "plugin:other")
	accept(t, s, whole, target)
	complete(t, s, target, delivery.OutcomeDone, delivery.Done)
	accept(t, s, pending, target)

	same(t, "ids", ids(t, s, store.Filter{}), whole.ID)
	complete(t, s, "plugin:other", delivery.OutcomeFailed, delivery.Dead)
	same(t, "ids after the last job of an event", ids(t, s, store.Filter{}), whole.ID+" "+half.ID)
	same(t, "failed ids", ids(t, s, store.Filter{Status: "failed"}), half.ID)
	if d := recordOf(t, s, unhandled.ID); len(d.Jobs) != 0 || d.Final() {
		t.Errorf("an unhandled event has jobs %+v", d.Jobs)
	}
}

// ids returns the event ids of the deliveries that f selects.
func ids(t *testing.T, s store.Store, f store.Filter) string {
	t.Helper()
	found, total, err := s.Deliveries(t.Context(), f)
	if err != nil {
		t.Fatalf("deliveries: %v", err)
	}
	if f.Limit == 0 && f.Offset == 0 && total != len(found) {
		t.Errorf("total is %d for %d deliveries", total, len(found))
	}
	var all []string
	for _, d := range found {
		all = append(all, d.Event.ID)
	}
	return strings.Join(all, " ")
}

func filters(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	// Event A runs from minute 1 to minute 2 and a second, in two attempts;
	// B from minute 1 to a second later.
	a, b := newEvent(1), newEvent(2)
	a.ID, b.ID = "A", "B"
	a.Type, b.Type = "call.hangup", "message.sent"
	accept(t, s, a, target)
	task := claim(t, s, target, t0.Add(time.Hour), 1)[0]
	finish(t, s, attempt(task, delivery.OutcomeRetry), delivery.Pending, t0)
	complete(t, s, target, delivery.OutcomeFailed, delivery.Dead)
	accept(t, s, b, target)
	complete(t, s, target, delivery.OutcomeDone, delivery.Done)

	started := t0.Add(time.Minute)
	endA, endB := t0.Add(2*time.Minute+time.Second), t0.Add(time.Minute+time.Second)
	const µs = time.Microsecond
	for _, tt := range []struct {
		name string
		f    store.Filter
		want string
	}{
		{"no filter", store.Filter{}, "B A"},
		{"delivered", store.Filter{Status: "delivered"}, "B"},
		{"failed", store.Filter{Status: "failed"}, "A"},
		{"one type", store.Filter{EventTypes: []string{"call.hangup"}}, "A"},
		{"several types", store.Filter{EventTypes: []string{"x", "call.hangup", "message.sent"}}, "B A"},
		{"a type is no pattern", store.Filter{EventTypes: []string{"call.%", "call.*", "CALL.HANGUP", "call"}}, ""},
		{"a type with a quote", store.Filter{EventTypes: []string{`'"`}}, ""},
		{"started from, inclusive", store.Filter{StartedFrom: started}, "B A"},
		{"started from, too late", store.Filter{StartedFrom: started.Add(µs)}, ""},
		{"started to, inclusive", store.Filter{StartedTo: started}, "B A"},
		{"started to, too early", store.Filter{StartedTo: started.Add(-µs)}, ""},
		{"finished from the last attempt's end", store.Filter{FinishedFrom: endA}, "A"},
		{"finished from later", store.Filter{FinishedFrom: endA.Add(µs)}, ""},
		{"finished to, inclusive", store.Filter{FinishedTo: endB}, "B"},
		{"finished to, too early", store.Filter{FinishedTo: endB.Add(-µs)}, ""},
		{"a time in another zone", store.Filter{FinishedTo: endB.In(time.FixedZone("", 3600))}, "B"},
		{"all that fit together", store.Filter{
			Status: "failed", EventTypes: []string{"call.hangup"}, WebhookContains: "hello",
			AttemptsContains: "75002", StartedFrom: started, StartedTo: started, FinishedFrom: endA, FinishedTo: endA,
		}, "A"},
		{"one that does not fit", store.Filter{Status: "failed", EventTypes: []string{"message.sent"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { same(t, "ids", ids(t, s, tt.f), tt.want) })
	}
}

func containsFilters(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(1)
	e.ID, e.Type, e.OccurredAt = "Evt_1", "call.hangup", "2026-01-02T03:04:05Z"
	e.Body = []byte("{\"meta\":{\"attempt\":9},\"data\":{\"payload\":{\"text\":\"100%_\xc3\xa9\xff'\"}}}")
	e.PayloadOff = strings.Index(string(e.Body), `{"text"`)
	e.PayloadLen = len(e.Body) - 2 - e.PayloadOff
	accept(t, s, e, target)
	task := claim(t, s, target, t0.Add(time.Hour), 1)[0]
	a := attempt(task, delivery.OutcomeFailed)
	a.RequestURL = "http://fallback.example.com/webhooks"
	a.RequestHeader = [][2]string{{"Webhook-Id", `quoted "x" <y> & \z`}}
	a.ResponseHeader = [][2]string{{"Server", "nginx é"}}
	a.ResponseBody = []byte("gone \x00\xff away")
	a.ErrorCodes = []int{75404, 75000}
	a.Error = "404 from the app"
	finish(t, s, a, delivery.Dead, time.Time{})

	whole := newEvent(2) // has no payload: its body is searched
	whole.ID, whole.Body, whole.PayloadOff, whole.PayloadLen = "form", []byte("CallSid=CA1&From=sip"), 0, -1
	accept(t, s, whole, target)
	complete(t, s, target, delivery.OutcomeDone, delivery.Done)

	for _, tt := range []struct{ name, text, webhook, attempts string }{
		{"the event id", "Evt_", "Evt_1", ""},
		{"another case", "evt_", "", ""},
		{"the type", "call.hang", "Evt_1", ""},
		{"the time", "2026-01-02T03", "Evt_1", ""},
		{"the payload, with signs special to LIKE", "100%_", "Evt_1", ""},
		{"a percent sign is itself", "1%_", "", ""},
		{"a quote", "'", "Evt_1", ""},
		{"bytes after letters beyond ASCII", "\xff'", "Evt_1", ""},
		{"the end of the payload", `'"}`, "Evt_1", ""},
		{"what stands outside of the payload", `"meta"`, "", ""},
		{"more than the payload", `'"}}`, "", ""},
		{"a whole body", "CA1&From", "form", ""},
		{"the URL", "http://fallback.example.com", "", "Evt_1"},
		{"an error code", "75404", "", "Evt_1"},
		{"the second error code", "75000", "", "Evt_1"},
		{"error codes run together", "75404,75000", "", ""},
		{"the error", "404 from", "", "Evt_1"},
		{"a header name", "Webhook-Id", "", "Evt_1"},
		{"a header value as sent", `"x" <y> & \z`, "", "Evt_1"},
		{"a header line", "Server: nginx é", "", "Evt_1"},
		{"JSON around headers", `","`, "", ""},
		{"the response body behind a nul", "\xff away", "", "Evt_1"},
		{"what is in common", "127.0.0.1", "", "form"},
		{"what is nowhere", "zebra", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			same(t, "ids by webhook", ids(t, s, store.Filter{WebhookContains: tt.text}), tt.webhook)
			same(t, "ids by attempts", ids(t, s, store.Filter{AttemptsContains: tt.text}), tt.attempts)
		})
	}
}

func pages(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	for i, id := range strings.Fields("A B C D E") {
		e := newEvent(9 - i) // received in another order than accepted
		e.ID = id
		accept(t, s, e, target)
	}
	complete(t, s, target, delivery.OutcomeDone, delivery.Done)
	for _, tt := range []struct {
		name          string
		offset, limit int
		want          string
	}{
		{"all", 0, 0, "E D C B A"},
		{"the first page", 0, 2, "E D"},
		{"the second page", 2, 2, "C B"},
		{"the last page", 4, 2, "A"},
		{"behind the last page", 6, 2, ""},
		{"the rest", 3, 0, "B A"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := store.Filter{Offset: tt.offset, Limit: tt.limit}
			same(t, "ids", ids(t, s, f), tt.want)
			_, total, err := s.Deliveries(t.Context(), f)
			if err != nil || total != 5 {
				t.Errorf("total: got %d, error %v; want 5", total, err)
			}
		})
	}
	all, _, err := s.Deliveries(t.Context(), store.Filter{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		same(t, "listed delivery", &d, recordOf(t, s, d.Event.DeliveryID))
	}
}

func routes(t *testing.T, open OpenFunc) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, r := range []store.Route{
		{Target: "plugin:b", Patterns: []string{"old.*"}},
		{Target: "plugin:a", Patterns: []string{"*"}},
		{Target: "plugin:b", Patterns: []string{"message.*", "call.hangup"}},
		{Target: "plugin:c"},
	} {
		if err := s.SaveRoute(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	got, err := s.Routes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byTarget := make(map[string][]string)
	for _, r := range got {
		byTarget[r.Target] = r.Patterns
	}
	same(t, "routes", byTarget, map[string][]string{
		"plugin:a": {"*"}, "plugin:b": {"message.*", "call.hangup"}, "plugin:c": nil,
	})
}

func backlog(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(1), target, "plugin:other")
	accept(t, s, newEvent(2), target)
	accept(t, s, newEvent(3), "plugin:done")
	claim(t, s, "plugin:other", t0.Add(time.Hour), 1) // a claimed job is still pending
	complete(t, s, "plugin:done", delivery.OutcomeDone, delivery.Done)
	got, err := s.Backlog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "backlog", got, map[string]int{target: 2, "plugin:other": 1})
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}

// probe tells what Accept would do, and leaves nothing behind.
func probe(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(1), target)
	before := recordOf(t, s, newEvent(1).ID)
	for range 3 {
		if err := s.Probe(t.Context(), newEvent(1), []string{target}); err != nil {
			t.Errorf("probe with an event that is stored: %v", err)
		}
		if err := s.Probe(t.Context(), newEvent(2), []string{target, "plugin:other"}); err != nil {
			t.Errorf("probe with a new event: %v", err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
	}
	same(t, "the stored event", recordOf(t, s, newEvent(1).ID), before)
	page, err := s.Events(t.Context(), store.Query{}, 0, 10)
	if err != nil || len(page.Deliveries) != 1 {
		t.Errorf("%d events are stored, %v; want 1", len(page.Deliveries), err)
	}
	got, err := s.Backlog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "backlog", got, map[string]int{target: 1})
	accept(t, s, newEvent(2), target) // fails the test if it is a duplicate
}

func stats(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	for n := range 4 {
		accept(t, s, newEvent(n), target)
	}
	accept(t, s, newEvent(5), "plugin:b", "plugin:done")
	accept(t, s, newEvent(6))                            // nobody wants it
	tasks := claim(t, s, target, t0.Add(time.Second), 2) // events 0 and 1
	finish(t, s, attempt(tasks[0], delivery.OutcomeRetry), delivery.Pending, t0.Add(time.Hour))
	finish(t, s, attempt(tasks[1], delivery.OutcomeFailed), delivery.Dead, time.Time{})
	complete(t, s, "plugin:done", delivery.OutcomeDone, delivery.Done)
	got, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "stats", got.Jobs, []store.JobStats{
		{Target: target, Status: store.StatusDead, Count: 1, Oldest: t0.Add(time.Second)},
		{Target: target, Status: store.StatusPending, Count: 2, Oldest: t0.Add(2 * time.Second)},
		{Target: target, Status: store.StatusRetrying, Count: 1, Oldest: t0},
		{Target: "plugin:b", Status: store.StatusPending, Count: 1, Oldest: t0.Add(5 * time.Second)},
	})
	if got.Bytes <= 0 || got.Unhandled != 1 {
		t.Errorf("%d bytes, %d unhandled; want some and 1", got.Bytes, got.Unhandled)
	}
}

func closed(t *testing.T, open OpenFunc) {
	ctx := t.Context()
	s := open(t, t.TempDir())
	accept(t, s, newEvent(1), target)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Accept":     func() error { _, err := s.Accept(ctx, newEvent(2), nil); return err },
		"Claim":      func() error { _, err := s.Claim(ctx, target, t0, 1); return err },
		"NextDue":    func() error { _, _, err := s.NextDue(ctx, target); return err },
		"Finish":     func() error { return s.Finish(ctx, delivery.Attempt{JobID: 1, N: 1}, delivery.Done, time.Time{}) },
		"Release":    func() error { return s.Release(ctx, delivery.Task{Event: newEvent(1)}) },
		"Delivery":   func() error { _, err := s.Delivery(ctx, "x"); return err },
		"Deliveries": func() error { _, _, err := s.Deliveries(ctx, store.Filter{}); return err },
		"SaveRoute":  func() error { return s.SaveRoute(ctx, store.Route{Target: target}) },
		"Routes":     func() error { _, err := s.Routes(ctx); return err },
		"Backlog":    func() error { _, err := s.Backlog(ctx); return err },
		"Ping":       func() error { return s.Ping(ctx) },
	} {
		wantErr(t, name, call(), store.ErrClosed)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}
