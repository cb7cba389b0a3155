// Package storetest is the contract of [store.Store], as tests. Every
// implementation runs it:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, dir string) store.Store { ... })
//	}
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// OpenFunc opens the store in dir. Opening the same dir again, after Close, finds
// what was there. It fails the test if it cannot.
type OpenFunc func(t *testing.T, dir string) store.Store

// Run checks that the stores opened by open keep the contract, each part in a
// subtest with a directory of its own. The subtests run in parallel.
func Run(t *testing.T, open OpenFunc) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, open OpenFunc)
	}{
		{"accept stores an event as it is", acceptKeeps},
		{"accept assigns what is missing", acceptAssigns},
		{"accept counts a duplicate and adds nothing", acceptDuplicate},
		{"accept takes one of many concurrent duplicates", acceptConcurrentDuplicates},
		{"accept makes one job for a target named twice", acceptTargetTwice},
		{"accept of an ended context stores nothing", acceptEnded},
		{"claim hands out the longest due first, up to the limit", claimOrder},
		{"claim never hands out a job twice", claimConcurrently},
		{"claim waits until a job is due", claimDue},
		{"after the clock was set back nothing waits longer than it should", clockSetBack},
		{"after the clock was set back a replay is due", clockSetBackReplayed},
		{"after the clock was set back an entity goes on in order", clockSetBackOrdered},
		{"after the clock was set back a claimed job is left alone", clockSetBackClaimed},
		{"a lost attempt is on record and outside of the schedule", lostIsFree},
		{"release gives a job back untried", release},
		{"next due passes over claimed jobs", nextDue},
		{"finish moves a job to each state", finishStates},
		{"finish repeated changes nothing", finishRepeated},
		{"finish repeated late leaves the next claim alone", finishRepeatedLate},
		{"finish of a job that does not exist is not found", finishUnknown},
		{"the result of another event with this number changes nothing", finishOther},
		{"the result of a removed event is not that of the next", finishRemoved},
		{"a result counts though attempts before it were forgotten", finishForgotten},
		{"a result of a job that has moved on is stale", finishStale},
		{"release of another event with this number changes nothing", releaseOther},
		{"an attempt is kept as it is", attemptKept},
		{"reopening keeps everything and forgets claims", reopen},
		{"a delivery is found by either id", lookup},
		{"only final deliveries are listed", listFinal},
		{"each filter selects what it says", filters},
		{"contains filters look where they should and nowhere else", containsFilters},
		{"pages are newest first with a true total", pages},
		{"routes are remembered", routes},
		{"backlog counts pending jobs by target", backlog},
		{"a probe does what accept does and leaves nothing", probe},
		{"stats count what waits and what is dead", stats},
		{"events of an entity go one at a time, in order", orderOneAtATime},
		{"an event that happened earlier goes first though it came later", orderLateArrival},
		{"a retry holds up its entity, a dead letter does not", orderRetry},
		{"entities and targets do not hold each other up", orderOthers},
		{"released and reopened, an entity goes on", orderRelease},
		{"a long line of one entity goes through in order", orderLine},
		{"record keeps what was passed through", recordNew},
		{"record repeated changes nothing", recordRepeated},
		{"record of a known event adds an attempt", recordAgain},
		{"a replay is a new round that keeps the history", replayRound},
		{"a replay skips what is pending and makes jobs that are missing", replayTargets},
		{"a replay goes through what was there, oldest first, in steps", replaySteps},
		{"a replay goes on after reopening", replayReopened},
		{"a replay can be cancelled, and made only once", replayCancelled},
		{"a replay by filter takes the jobs that the filter means", replayByFilter},
		{"a record stays visible while it is replayed", replayVisible},
		{"events are selected by every field of a query", queryFields},
		{"pages meet every event once", queryPages},
		{"summaries are light", querySummary},
		{"dead letters are grouped", deadGroups},
		{"discard moves dead letters only", discard},
		{"hurry moves what it selects", hurrySelects},
		{"hurry moves no more than asked for", hurryLimit},
		{"hurry leaves what does not wait", hurryLeaves},
		{"a preview counts", preview},
		{"prune removes by age what is finished", pruneByAge},
		{"prune removes dead letters by their own age", pruneDeadByTheirAge},
		{"prune is not stopped by a time to come", pruneByWrongClock},
		{"prune removes by size, oldest first, never what is pending or dead", pruneBySize},
		{"prune stops at its limit", pruneLimit},
		{"a pruned event can be accepted anew", pruneForgets},
		{"watch ends with its context", watchEnds},
		{"a closed store says so", closed},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t, open)
		})
	}
}

const target = "plugin:archive"

// t0 has microseconds: a store must keep them, but nothing finer.
var t0 = time.Date(2020, 3, 14, 15, 9, 26, 535897000, time.UTC)

// farFuture is later than anything is due, even an event without ReceivedAt,
// which is due by the real clock.
var farFuture = t0.AddDate(100, 0, 0)

// newEvent returns an event without a zero field. Its ids and its time follow
// from n.
func newEvent(n int) *delivery.Event {
	return &delivery.Event{
		Key:        fmt.Sprintf("id:%08d-0000-4000-8000-00000000abcd", n),
		ID:         fmt.Sprintf("%08d-0000-4000-8000-00000000abcd", n),
		Type:       "message.received",
		OccurredAt: "2026-03-14T15:09:26.000Z",
		ReceivedAt: t0.Add(time.Duration(n) * time.Second),
		Method:     "POST",
		Path:       "/webhooks?a=b",
		RemoteAddr: "192.0.2.1:4711",
		Header:     [][2]string{{"Content-Type", "application/json"}, {"X-Twice", "1"}, {"X-Twice", "2"}},
		Body:       []byte(`{"data":{"payload":{"text":"hello"}}}`),
		PayloadOff: 19, PayloadLen: 16,
		KeyLabel: "main",
		SignedAt: t0.Add(-time.Second),

		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
}

func openStore(t *testing.T, open OpenFunc) store.Store {
	t.Helper()
	s := open(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// accept stores e for the targets and returns its sequence number.
func accept(t *testing.T, s store.Store, e *delivery.Event, targets ...string) int64 {
	t.Helper()
	got, err := s.Accept(t.Context(), e, targets)
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	if got.Duplicate {
		t.Fatalf("accept: %s is a duplicate", e.Key)
	}
	return got.Seq
}

// claim returns the tasks due at now. There must be n.
func claim(t *testing.T, s store.Store, target string, now time.Time, n int) []delivery.Task {
	t.Helper()
	tasks, err := s.Claim(t.Context(), target, now, 1000)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if len(tasks) != n {
		t.Fatalf("claim: got %d tasks, want %d", len(tasks), n)
	}
	return tasks
}

// attempt returns the next attempt at a claimed job, with times that follow
// from its number.
func attempt(task delivery.Task, outcome delivery.Outcome) delivery.Attempt {
	n := task.Job.Attempts + 1
	at := t0.Add(time.Duration(n) * time.Minute)
	a := delivery.Attempt{
		JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: task.Job.Target, N: n,
		StartedAt: at, FinishedAt: at.Add(time.Second),
		Outcome: outcome, RequestURL: "http://127.0.0.1:5000/webhooks",
	}
	if outcome != delivery.OutcomeDone {
		a.ErrorCodes, a.Error = []int{75002}, "connection refused"
	}
	return a
}

func finish(t *testing.T, s store.Store, a delivery.Attempt, state delivery.State, nextAt time.Time) {
	t.Helper()
	if err := s.Finish(t.Context(), a, state, nextAt); err != nil {
		t.Fatalf("finish: %v", err)
	}
}

// complete ends every due job of the target.
func complete(t *testing.T, s store.Store, target string, outcome delivery.Outcome, state delivery.State) {
	t.Helper()
	tasks, err := s.Claim(t.Context(), target, farFuture, 1000)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	for _, task := range tasks {
		finish(t, s, attempt(task, outcome), state, time.Time{})
	}
}

func recordOf(t *testing.T, s store.Store, id string) *store.Delivery {
	t.Helper()
	d, err := s.Delivery(t.Context(), id)
	if err != nil {
		t.Fatalf("delivery %q: %v", id, err)
	}
	return d
}

// same compares records; a nil list equals an empty one.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	diff := cmp.Diff(want, got,
		cmp.Comparer(bytes.Equal),
		cmp.Comparer(slices.Equal[[][2]string]),
		cmp.Comparer(slices.Equal[[]int]),
		cmp.Comparer(slices.Equal[[]string]))
	if diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}
