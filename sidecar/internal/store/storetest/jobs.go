package storetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

func acceptKeeps(t *testing.T, open OpenFunc) {
	odd := newEvent(1)
	odd.ID, odd.Type, odd.OccurredAt = "bell \x07 nul \x00 é", "a\xffb", "yesterday\x00"
	odd.Path = "/\xc3\x28"
	odd.Header = [][2]string{{"X-Latin", "caf\xe9"}, {"X-Quote", `a "b" <c> & ]["`}, {"X-Empty", ""}, {"X\xfe", "\x00"}}
	odd.Body = []byte("\x00\xff\xfe not JSON \xc3\x28")
	odd.PayloadOff, odd.PayloadLen = 0, -1

	bare := &delivery.Event{Key: "sha256:00", PayloadLen: -1}

	big := newEvent(3)
	big.Body = bytes.Repeat([]byte{0, 1, 2, 255}, 1<<18) // 1 MiB

	for _, tt := range []struct {
		name string
		e    *delivery.Event
	}{
		{"a usual event", newEvent(2)},
		{"bytes that are no text", odd},
		{"an event without anything", bare},
		{"a body of 1 MiB", big},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			given := *tt.e
			seq := accept(t, s, &given, target)
			want := given
			if want.Seq != seq {
				t.Errorf("Seq is %d in the event and %d in the answer", want.Seq, seq)
			}
			same(t, "event", recordOf(t, s, given.DeliveryID).Event, &want)
			same(t, "claimed event", claim(t, s, target, farFuture, 1)[0].Event, &want)

			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			defer s.Close()
			same(t, "event after reopening", recordOf(t, s, given.DeliveryID).Event, &want)
		})
	}
}

func acceptAssigns(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	a, b := newEvent(1), newEvent(2)
	b.DeliveryID = "F5586561-8ff0-4291-a0ac-84fe544797bd"
	if accept(t, s, a) >= accept(t, s, b) {
		t.Errorf("Seq does not grow: %d then %d", a.Seq, b.Seq)
	}
	if len(a.DeliveryID) != 36 {
		t.Errorf("DeliveryID %q is not a UUID", a.DeliveryID)
	}
	if b.DeliveryID != "F5586561-8ff0-4291-a0ac-84fe544797bd" {
		t.Errorf("DeliveryID was changed to %q", b.DeliveryID)
	}
}

func acceptDuplicate(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	first := newEvent(1)
	seq := accept(t, s, first, target)
	complete(t, s, target, delivery.OutcomeDone, delivery.Done)
	for _, deliveryID := range []string{"", first.DeliveryID} {
		again := newEvent(1)
		again.Body = []byte("another body")
		again.DeliveryID = deliveryID // known to a caller who repeats
		got, err := s.Accept(t.Context(), again, []string{target, "plugin:other"})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "answer", got, store.Accepted{Seq: seq, DeliveryID: first.DeliveryID, Duplicate: true})
	}
	d := recordOf(t, s, first.DeliveryID)
	want := *first
	want.Duplicates = 2
	same(t, "event", d.Event, &want)
	if len(d.Jobs) != 1 || d.Jobs[0].State != delivery.Done {
		t.Errorf("the duplicate changed the jobs: %+v", d.Jobs)
	}
	claim(t, s, target, t0.Add(time.Hour), 0)
}

func acceptConcurrentDuplicates(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	const keys, each = 8, 8
	var mu sync.Mutex
	accepted := make(map[string]int)
	var wg sync.WaitGroup
	for i := range keys * each {
		wg.Go(func() {
			e := newEvent(i % keys)
			got, err := s.Accept(t.Context(), e, []string{target})
			if err != nil {
				t.Errorf("accept: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if !got.Duplicate {
				accepted[e.Key]++
			}
		})
	}
	wg.Wait()
	for k, n := range accepted {
		if n != 1 {
			t.Errorf("%s was accepted %d times", k, n)
		}
	}
	if len(accepted) != keys {
		t.Errorf("%d of %d events were accepted", len(accepted), keys)
	}
	for _, task := range claim(t, s, target, t0.Add(time.Hour), keys) {
		if task.Event.Duplicates != each-1 {
			t.Errorf("%s: %d duplicates were counted, want %d", task.Event.Key, task.Event.Duplicates, each-1)
		}
	}
}

func acceptTargetTwice(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(1), target, "plugin:other", target)
	claim(t, s, target, t0.Add(time.Hour), 1)
	claim(t, s, "plugin:other", t0.Add(time.Hour), 1)
}

func acceptEnded(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := newEvent(1)
	_, err := s.Accept(ctx, e, []string{target})
	wantErr(t, "accept", err, context.Canceled)
	_, err = s.Delivery(t.Context(), e.ID)
	wantErr(t, "delivery", err, store.ErrNotFound)
}

func claimOrder(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	for _, n := range []int{3, 1, 2, 4} {
		accept(t, s, newEvent(n), target)
	}
	accept(t, s, newEvent(5), "plugin:other")
	var got []string
	for _, want := range []int{2, 2, 0} {
		tasks, err := s.Claim(t.Context(), target, t0.Add(time.Hour), 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(tasks) != want {
			t.Errorf("claim of 2: got %d tasks, want %d", len(tasks), want)
		}
		for _, task := range tasks {
			got = append(got, task.Event.ID[7:8])
			if task.Job.Target != target || task.Job.State != delivery.Pending || task.Job.Attempts != 0 ||
				task.Job.EventSeq != task.Event.Seq || task.Job.NextAt.After(task.Event.ReceivedAt) {
				t.Errorf("job %+v does not fit its event %+v", task.Job, task.Event)
			}
		}
	}
	same(t, "order", strings.Join(got, ""), "1234")
	if tasks, err := s.Claim(t.Context(), "plugin:other", t0.Add(time.Hour), 0); err != nil || len(tasks) != 0 {
		t.Errorf("claim of 0: %d tasks, error %v", len(tasks), err)
	}
}

// claimConcurrently lets claims race with finishes that free their claims:
// each job must be handed out exactly as often as it has attempts.
func claimConcurrently(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	const events, attempts = 24, 3
	for n := range events {
		accept(t, s, newEvent(n), target)
	}
	var mu sync.Mutex
	handedOut := make(map[string]int)
	left := events * attempts
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				mu.Lock()
				finished := left <= 0
				mu.Unlock()
				if finished {
					return
				}
				tasks, err := s.Claim(t.Context(), target, t0.Add(time.Hour), 5)
				if err != nil {
					t.Errorf("claim: %v", err)
					return
				}
				for _, task := range tasks {
					mu.Lock()
					handedOut[fmt.Sprint(task.Job.ID, "/", task.Job.Attempts)]++
					left--
					mu.Unlock()
					state, outcome := delivery.Pending, delivery.OutcomeRetry
					if task.Job.Attempts == attempts-1 {
						state, outcome = delivery.Done, delivery.OutcomeDone
					}
					if err := s.Finish(t.Context(), attempt(task, outcome), state, t0); err != nil {
						t.Errorf("finish: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for k, n := range handedOut {
		if n != 1 {
			t.Errorf("job/attempt %s was handed out %d times", k, n)
		}
	}
	if len(handedOut) != events*attempts {
		t.Errorf("%d attempts were handed out, want %d", len(handedOut), events*attempts)
	}
}

func claimDue(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(0), target)
	task := claim(t, s, target, t0, 1)[0]
	due := t0.Add(time.Minute)
	finish(t, s, attempt(task, delivery.OutcomeRetry), delivery.Pending, due)
	claim(t, s, target, due.Add(-time.Microsecond), 0)
	again := claim(t, s, target, due, 1)[0]
	same(t, "job", again.Job, delivery.Job{
		ID: task.Job.ID, EventSeq: task.Event.Seq, Target: target,
		State: delivery.Pending, Attempts: 1, NextAt: due, RoundAt: t0,
	})
}

func lostIsFree(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(0), target)
	policy := delivery.Policy{Schedule: delivery.Schedule{time.Minute}}
	task := claim(t, s, target, t0, 1)[0]
	for range 3 {
		a := attempt(task, delivery.OutcomeLost)
		a.RetryAfter = time.Second
		state, due := delivery.Next(task.Job, a, policy, 0)
		if state != delivery.Pending || !due.Equal(a.FinishedAt.Add(time.Second)) {
			t.Fatalf("lost: %s, due %v", state, due)
		}
		finish(t, s, a, state, due)
		finish(t, s, a, state, due) // a repetition
		task = claim(t, s, target, due, 1)[0]
	}
	if j := task.Job; j.Attempts != 3 || j.Base != 3 {
		t.Errorf("job after three lost attempts: %+v", j)
	}
	a := attempt(task, delivery.OutcomeRetry)
	state, due := delivery.Next(task.Job, a, policy, 0)
	if state != delivery.Pending {
		t.Errorf("the first attempt that counts makes it %s", state)
	}
	finish(t, s, a, state, due)
	task = claim(t, s, target, due, 1)[0]
	if state, _ := delivery.Next(task.Job, attempt(task, delivery.OutcomeRetry), policy, 0); state != delivery.Dead {
		t.Errorf("the second attempt that counts makes it %s", state)
	}
}

func release(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(0), target)
	task := claim(t, s, target, t0, 1)[0]
	claim(t, s, target, t0, 0)
	if err := s.Release(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	same(t, "task", claim(t, s, target, t0, 1)[0], task)
}

func nextDue(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	due := func(want time.Time) {
		t.Helper()
		got, ok, err := s.NextDue(t.Context(), target)
		if err != nil || ok != !want.IsZero() || !got.Equal(want) {
			t.Errorf("next due: got %v, %v, error %v; want %v", got, ok, err, want)
		}
	}
	due(time.Time{})
	accept(t, s, newEvent(7), "plugin:other")
	due(time.Time{})
	accept(t, s, newEvent(0), target)
	due(t0)
	task := claim(t, s, target, t0, 1)[0]
	due(time.Time{})
	finish(t, s, attempt(task, delivery.OutcomeRetry), delivery.Pending, t0.Add(time.Minute))
	due(t0.Add(time.Minute))
	accept(t, s, newEvent(9), target)
	due(t0.Add(9 * time.Second))
}

func finishStates(t *testing.T, open OpenFunc) {
	for _, tt := range []struct {
		name             string
		outcome          delivery.Outcome
		state            delivery.State
		final, delivered bool
	}{
		{"done is final and delivered", delivery.OutcomeDone, delivery.Done, true, true},
		{"dead is final and failed", delivery.OutcomeFailed, delivery.Dead, true, false},
		{"a retry that used up its schedule is final and failed", delivery.OutcomeRetry, delivery.Dead, true, false},
		{"a retry is not final", delivery.OutcomeRetry, delivery.Pending, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t, open)
			e := newEvent(0)
			seq := accept(t, s, e, target)
			task := claim(t, s, target, t0, 1)[0]
			a := attempt(task, tt.outcome)
			var due time.Time
			if tt.state == delivery.Pending {
				due = t0.Add(time.Hour)
			}
			finish(t, s, a, tt.state, due)
			d := recordOf(t, s, e.DeliveryID)
			same(t, "jobs", d.Jobs, []delivery.Job{{
				ID: task.Job.ID, EventSeq: seq, Target: target, State: tt.state, Attempts: 1, NextAt: due, RoundAt: t0,
			}})
			same(t, "attempts", d.Attempts, []delivery.Attempt{a})
			if d.Final() != tt.final || d.Delivered() != tt.delivered {
				t.Errorf("final %v, delivered %v; want %v, %v", d.Final(), d.Delivered(), tt.final, tt.delivered)
			}
			want := 0
			if tt.state == delivery.Pending {
				want = 1
			}
			claim(t, s, target, t0.Add(2*time.Hour), want)
		})
	}
}

func finishRepeated(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(0)
	accept(t, s, e, target)
	a := attempt(claim(t, s, target, t0, 1)[0], delivery.OutcomeDone)
	finish(t, s, a, delivery.Done, time.Time{})
	before := recordOf(t, s, e.DeliveryID)

	again := a
	again.Outcome, again.Error = delivery.OutcomeFailed, "something else"
	finish(t, s, again, delivery.Dead, time.Time{})
	same(t, "delivery", recordOf(t, s, e.DeliveryID), before)

	next := a
	next.N = 2
	if err := s.Finish(t.Context(), next, delivery.Done, time.Time{}); err == nil {
		t.Error("a job that is done took another attempt")
	}
	same(t, "delivery", recordOf(t, s, e.DeliveryID), before)
}

func finishRepeatedLate(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	accept(t, s, newEvent(0), target)
	a := attempt(claim(t, s, target, t0, 1)[0], delivery.OutcomeRetry)
	finish(t, s, a, delivery.Pending, t0)
	claim(t, s, target, t0, 1)
	finish(t, s, a, delivery.Pending, t0)
	claim(t, s, target, t0.Add(time.Hour), 0)
}

func finishUnknown(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	err := s.Finish(t.Context(), delivery.Attempt{JobID: 4711, N: 1, Outcome: delivery.OutcomeDone}, delivery.Done, time.Time{})
	wantErr(t, "finish", err, store.ErrNotFound)
}

func attemptKept(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(0)
	accept(t, s, e, target)
	task := claim(t, s, target, t0, 1)[0]
	first := attempt(task, delivery.OutcomeRetry)
	first.RetryAfter = 90 * time.Second
	first.RequestHeader = [][2]string{{"telnyx-timestamp", "1"}, {"telnyx-timestamp", "2"}, {"x", "caf\xe9 \"<&>\""}}
	first.ResponseStatus = 503
	first.ResponseHeader = [][2]string{{"Retry-After", "90"}}
	first.ResponseBody = []byte("busy \x00\xff")
	first.ErrorCodes = []int{75599, 75000}
	first.Error = "503 \xff"
	finish(t, s, first, delivery.Pending, t0)

	second := attempt(claim(t, s, target, t0, 1)[0], delivery.OutcomeDone)
	finish(t, s, second, delivery.Done, time.Time{})
	same(t, "attempts", recordOf(t, s, e.DeliveryID).Attempts, []delivery.Attempt{second, first})
}
