package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// createReplay stores a replay.
func createReplay(t *testing.T, s store.Store, r store.Replay) store.Replay {
	t.Helper()
	if err := s.CreateReplay(t.Context(), &r); err != nil {
		t.Fatalf("create replay: %v", err)
	}
	if r.ID == "" || r.CreatedAt.IsZero() || r.State != store.ReplayRunning {
		t.Fatalf("created replay %+v", r)
	}
	return r
}

func stepReplay(t *testing.T, s store.Store, id string, limit int) (store.Replay, []string) {
	t.Helper()
	r, targets, err := s.StepReplay(t.Context(), id, limit)
	if err != nil {
		t.Fatalf("step replay: %v", err)
	}
	return r, targets
}

// runReplay takes a replay to its end.
func runReplay(t *testing.T, s store.Store, r store.Replay) store.Replay {
	t.Helper()
	r = createReplay(t, s, r)
	for range 1000 {
		if r, _ = stepReplay(t, s, r.ID, 10); r.State != store.ReplayRunning {
			return r
		}
	}
	t.Fatalf("replay has no end: %+v", r)
	return r
}

// ended accepts event n and ends its job at the target.
func ended(t *testing.T, s store.Store, n int, target string, outcome delivery.Outcome) *delivery.Event {
	t.Helper()
	e := newEvent(n)
	accept(t, s, e, target)
	state := delivery.Done
	if outcome != delivery.OutcomeDone {
		state = delivery.Dead
	}
	complete(t, s, target, outcome, state)
	return e
}

func job(t *testing.T, s store.Store, e *delivery.Event, target string) delivery.Job {
	t.Helper()
	for _, j := range recordOf(t, s, e.DeliveryID).Jobs {
		if j.Target == target {
			return j
		}
	}
	t.Fatalf("%s has no job for %s", e.Key, target)
	return delivery.Job{}
}

func replayRound(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := ended(t, s, 1, target, delivery.OutcomeFailed)
	before := time.Now().Add(-time.Second)
	r := runReplay(t, s, store.Replay{Query: store.Query{IDs: []string{e.DeliveryID}}})
	if r.State != store.ReplayDone || r.Total != 1 || r.Seen != 1 || r.Queued != 1 || r.Skipped != 0 || r.FinishedAt.IsZero() {
		t.Errorf("replay %+v, want one event queued", r)
	}
	j := job(t, s, e, target)
	if j.State != delivery.Pending || j.Round != 1 || j.Base != 1 || j.Attempts != 1 || j.Was != delivery.Dead ||
		j.RoundAt.Before(before) || j.NextAt.After(time.Now()) {
		t.Errorf("job %+v, want a new round that is due", j)
	}
	task := next(t, s, target, e)[e.Key]
	a := attempt(task, delivery.OutcomeRetry)
	if state, _ := delivery.Next(task.Job, a, delivery.Policy{Schedule: delivery.Schedule{time.Minute}}, 0); state != delivery.Pending || a.N != 2 {
		t.Errorf("attempt %d of the job makes it %s: the schedule does not begin anew", a.N, state)
	}
	finish(t, s, a, delivery.Pending, t0)
	done(t, s, next(t, s, target, e)[e.Key])
	d := recordOf(t, s, e.DeliveryID)
	if len(d.Attempts) != 3 || !d.Delivered() || d.Jobs[0].Round != 1 {
		t.Errorf("%d attempts, delivered %v, %+v; want all 3 and delivered", len(d.Attempts), d.Delivered(), d.Jobs)
	}
}

func replayTargets(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := ended(t, s, 1, target, delivery.OutcomeDone)
	waiting := newEvent(2)
	accept(t, s, waiting, target)
	nobody := newEvent(3)
	accept(t, s, nobody)

	// Without targets only existing jobs, and no pending ones.
	r := runReplay(t, s, store.Replay{})
	if r.Total != 3 || r.Seen != 3 || r.Queued != 1 || r.Skipped != 2 {
		t.Errorf("replay %+v, want 1 of 3 queued", r)
	}
	r = createReplay(t, s, store.Replay{Targets: []string{"plugin:new", target}})
	r, targets := stepReplay(t, s, r.ID, 10)
	if r.Queued != 4 || r.Skipped != 0 {
		t.Errorf("replay %+v, want a new job for each and one for the unhandled", r)
	}
	same(t, "targets with work", targets, []string{target, "plugin:new"})
	if j := job(t, s, nobody, "plugin:new"); j.State != delivery.Pending || j.Round != 0 {
		t.Errorf("new job %+v", j)
	}
	if recordOf(t, s, nobody.DeliveryID).Final() {
		t.Error("an event that is delivered for the first time counts as final")
	}
	_ = e
}

func replaySteps(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	for i := range 5 {
		ended(t, s, i, target, delivery.OutcomeDone)
	}
	r := createReplay(t, s, store.Replay{Rate: 20, Query: store.Query{Types: []string{"message.*"}, Since: t0}})
	ended(t, s, 9, target, delivery.OutcomeDone) // too late to be part of it
	for i, want := range []int{2, 4, 5} {
		r, _ = stepReplay(t, s, r.ID, 2)
		if r.Seen != want {
			t.Fatalf("after step %d: %+v, want %d seen", i+1, r, want)
		}
	}
	if r, _ = stepReplay(t, s, r.ID, 2); r.State != store.ReplayDone || r.Queued != 5 || r.Cursor != r.Last {
		t.Errorf("at the end %+v", r)
	}
	again, targets := stepReplay(t, s, r.ID, 2)
	same(t, "replay after the end", again, r)
	if len(targets) != 0 {
		t.Errorf("a replay that is done has work for %v", targets)
	}
	tasks := claim(t, s, target, farFuture, 5)
	for i, task := range tasks {
		if want := newEvent(i).Key; task.Event.Key != want {
			t.Errorf("number %d is %s, want %s", i, task.Event.Key, want)
		}
	}
}

func replayReopened(t *testing.T, open OpenFunc) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 5 {
		ended(t, s, i, target, delivery.OutcomeDone)
	}
	made := createReplay(t, s, store.Replay{Rate: 2.5, Targets: []string{target}, Query: store.Query{Text: "hello", Until: farFuture}})
	half, _ := stepReplay(t, s, made.ID, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	running, err := s.Replays(t.Context(), true)
	if err != nil || len(running) != 1 {
		t.Fatalf("running replays %v, %v", running, err)
	}
	same(t, "replay after reopening", running[0], half)
	r, _ := stepReplay(t, s, made.ID, 10)
	if r.Seen != 5 || r.Queued != 5 || r.State != store.ReplayDone {
		t.Errorf("replay %+v, want each event once", r)
	}
}

func replayCancelled(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	for i := range 4 {
		ended(t, s, i, target, delivery.OutcomeDone)
	}
	const id = "0190c0de-0000-7000-8000-000000000001"
	createReplay(t, s, store.Replay{ID: id})
	r, _ := stepReplay(t, s, id, 1)
	again := store.Replay{ID: id, Rate: 99}
	if err := s.CreateReplay(t.Context(), &again); err != nil {
		t.Fatal(err)
	}
	same(t, "replay that was made twice", again, r)
	for range 2 { // the second changes nothing
		c, err := s.CancelReplay(t.Context(), id)
		if err != nil || c.State != store.ReplayCancelled || c.Seen != 1 || c.FinishedAt.IsZero() {
			t.Fatalf("cancelled %+v, %v", c, err)
		}
	}
	if c, targets := stepReplay(t, s, id, 1); c.Seen != 1 || len(targets) != 0 {
		t.Errorf("a cancelled replay went on: %+v", c)
	}
	claim(t, s, target, farFuture, 1) // what was due stays due
	for _, err := range []error{
		func() error { _, err := s.Replay(t.Context(), "unknown"); return err }(),
		func() error { _, err := s.CancelReplay(t.Context(), "unknown"); return err }(),
		func() error { _, _, err := s.StepReplay(t.Context(), "unknown", 1); return err }(),
	} {
		wantErr(t, "unknown replay", err, store.ErrNotFound)
	}
	if list, err := s.Replays(t.Context(), false); err != nil || len(list) != 1 {
		t.Errorf("replays %v, %v", list, err)
	}
	if list, err := s.Replays(t.Context(), true); err != nil || len(list) != 0 {
		t.Errorf("running replays %v, %v", list, err)
	}
}

func replayByFilter(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	const other = "forward:default"
	e := newEvent(1)
	accept(t, s, e, target, other)
	complete(t, s, target, delivery.OutcomeFailed, delivery.Dead)
	complete(t, s, other, delivery.OutcomeDone, delivery.Done)
	fine := ended(t, s, 2, target, delivery.OutcomeDone)

	r := runReplay(t, s, store.Replay{Query: store.Query{Status: store.StatusDead, Error: "connection refused"}})
	if r.Total != 1 || r.Queued != 1 {
		t.Errorf("replay of the dead letters %+v, want one", r)
	}
	for want, j := range map[delivery.State]delivery.Job{
		delivery.Pending: job(t, s, e, target),
		delivery.Done:    job(t, s, e, other),
	} {
		if j.State != want {
			t.Errorf("%s is %s, want %s", j.Target, j.State, want)
		}
	}
	if j := job(t, s, fine, target); j.State != delivery.Done {
		t.Errorf("an event that was delivered is %s", j.State)
	}
	if r := runReplay(t, s, store.Replay{Query: store.Query{Target: other}}); r.Queued != 1 {
		t.Errorf("replay by target %+v, want one", r)
	}
}

func replayVisible(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := ended(t, s, 1, target, delivery.OutcomeFailed)
	status := func(want string) {
		t.Helper()
		for _, status := range []string{"delivered", "failed"} {
			_, n, err := s.Deliveries(t.Context(), store.Filter{Status: status})
			if err != nil || (n == 1) != (status == want) {
				t.Errorf("%d records are %s, %v; want the record %s", n, status, err, want)
			}
		}
		d := recordOf(t, s, e.DeliveryID)
		if !d.Final() || d.Delivered() != (want == "delivered") {
			t.Errorf("final %v, delivered %v; want %s", d.Final(), d.Delivered(), want)
		}
	}
	status("failed")
	runReplay(t, s, store.Replay{})
	status("failed")
	complete(t, s, target, delivery.OutcomeDone, delivery.Done)
	status("delivered")
	runReplay(t, s, store.Replay{})
	status("delivered")
}

// Record

func passed(n int, outcome delivery.Outcome) (*delivery.Event, delivery.Attempt) {
	return newEvent(n), delivery.Attempt{
		Target: "forward:ivr", StartedAt: t0, FinishedAt: t0.Add(time.Second), Outcome: outcome,
		RequestURL: "http://ivr.test/", ResponseStatus: 200, ResponseBody: []byte("<Response/>"),
	}
}

func recordNew(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	for i, outcome := range []delivery.Outcome{delivery.OutcomeDone, delivery.OutcomeRetry} {
		e, a := passed(i, outcome)
		got, err := s.Record(t.Context(), e, a, []string{target, a.Target})
		if err != nil || got.Duplicate || e.DeliveryID == "" {
			t.Fatalf("record: %+v, %v", got, err)
		}
		j := job(t, s, e, a.Target)
		if want := map[bool]delivery.State{true: delivery.Done, false: delivery.Dead}[outcome == delivery.OutcomeDone]; j.State != want || j.Attempts != 1 {
			t.Errorf("%s makes the job %+v, want it %s", outcome, j, want)
		}
		d := recordOf(t, s, e.DeliveryID)
		a.JobID, a.DeliveryID, a.N = j.ID, e.DeliveryID, 1
		same(t, "attempts", d.Attempts, []delivery.Attempt{a})
	}
	claim(t, s, "forward:ivr", farFuture, 0)
	claim(t, s, target, farFuture, 2)
}

func recordRepeated(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e, a := passed(1, delivery.OutcomeDone)
	for range 3 {
		if _, err := s.Record(t.Context(), e, a, nil); err != nil {
			t.Fatal(err)
		}
	}
	d := recordOf(t, s, e.DeliveryID)
	if len(d.Attempts) != 1 || d.Event.Duplicates != 0 {
		t.Errorf("%d attempts and %d duplicates, want 1 and 0", len(d.Attempts), d.Event.Duplicates)
	}
}

func recordAgain(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e, a := passed(1, delivery.OutcomeRetry)
	for i := range 2 {
		a.StartedAt = t0.Add(time.Duration(i) * time.Minute)
		got, err := s.Record(t.Context(), e, a, []string{target})
		if err != nil || got.Duplicate != (i == 1) {
			t.Fatalf("record %d: %+v, %v", i, got, err)
		}
		a.Outcome = delivery.OutcomeDone
	}
	d := recordOf(t, s, e.DeliveryID)
	if j := job(t, s, e, a.Target); len(d.Attempts) != 2 || d.Event.Duplicates != 1 || j.State != delivery.Done {
		t.Errorf("%d attempts, %d duplicates, job %s; want 2, 1 and done", len(d.Attempts), d.Event.Duplicates, j.State)
	}
	if r := runReplay(t, s, store.Replay{Query: store.Query{Target: a.Target}}); r.Queued != 1 {
		t.Errorf("replay of what was passed through %+v", r)
	}
	claim(t, s, a.Target, farFuture, 1)
}

func watchEnds(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	ctx, cancel := contextWithCancel(t)
	got := make(chan error, 1)
	go func() { got <- s.Watch(ctx, func([]string) {}) }()
	cancel()
	if err := <-got; err != nil && !errors.Is(err, ctx.Err()) {
		t.Errorf("watch: %v", err)
	}
}

func newEvents(t *testing.T, s store.Store, n int, targets ...string) {
	t.Helper()
	for i := range n {
		e := newEvent(i)
		e.Body = fmt.Appendf(nil, `{"data":{"payload":{"text":"number %d"}}}`, i)
		accept(t, s, e, targets...)
	}
}
