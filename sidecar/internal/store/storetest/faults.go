package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Faults make commits fail.
type Faults interface {
	// Arm makes the next n commits fail, all if n is negative. If happens is
	// set they are made all the same.
	Arm(happens bool, n int)

	// Disarm ends that and returns how many have failed.
	Disarm() int
}

// RunFaults makes every write of the contract twice: once with its commits lost,
// and once with them made but reported lost. After an error nothing may be half
// done, and the repetition, which is what callers do, must end where the write
// would have without the fault. repairs says that the store itself makes up for
// one failure.
func RunFaults(t *testing.T, repairs bool, open func(t *testing.T) (store.Store, Faults)) {
	for _, happens := range []bool{false, true} {
		for _, times := range []int{1, -1} {
			for i, w := range writes() {
				name := fmt.Sprintf("%s, happens %v, times %d", w.name, happens, times)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					s, faults := open(t)
					writes()[i].check(t, s, faults, happens, times, repairs && times == 1)
				})
			}
		}
	}
}

// write is a change of the store, with its preparation and the state it leads to.
// do is repeated as callers do, and returns its result; state describes the
// stored records, to show that nothing changes twice.
type write struct {
	name    string
	silent  bool // a store may have nothing to write
	prepare func(t *testing.T, s store.Store)
	do      func(ctx context.Context, s store.Store) error
	state   func(t *testing.T, s store.Store) string
	want    string // state after it
}

// writes are all changes of the contract.
func writes() []write {
	var task delivery.Task
	claimed := func(t *testing.T, s store.Store) {
		accept(t, s, newEvent(1), target)
		task = claim(t, s, target, farFuture, 1)[0]
	}
	dead := func(t *testing.T, s store.Store) {
		claimed(t, s)
		finish(t, s, attempt(task, delivery.OutcomeFailed), delivery.Dead, time.Time{})
	}
	replaying := func(t *testing.T, s store.Store) {
		dead(t, s)
		createReplay(t, s, store.Replay{ID: "r"})
	}
	recorded := delivery.Attempt{Target: target, Outcome: delivery.OutcomeDone, StartedAt: time.Unix(1, 0), FinishedAt: time.Unix(2, 0)}
	return []write{
		{"accept", false, func(*testing.T, store.Store) {}, func(ctx context.Context, s store.Store) error {
			_, err := s.Accept(ctx, newEvent(1), []string{target})
			return err
		}, describeEvents, "[pending 0+0]"},
		{"record", false, func(*testing.T, store.Store) {}, func(ctx context.Context, s store.Store) error {
			_, err := s.Record(ctx, newEvent(1), recorded, []string{"plugin:other"})
			return err
		}, describeEvents, "[pending 0+0 done 1+1]"},
		{"finish", false, claimed, func(ctx context.Context, s store.Store) error {
			return s.Finish(ctx, attempt(task, delivery.OutcomeDone), delivery.Done, time.Time{})
		}, describeEvents, "[done 1+1]"},
		{"release", true, claimed, func(ctx context.Context, s store.Store) error {
			return s.Release(ctx, task)
		}, func(t *testing.T, s store.Store) string {
			_, free, err := s.NextDue(t.Context(), target)
			return fmt.Sprint(free, err)
		}, "true <nil>"},
		{"discard", false, dead, func(ctx context.Context, s store.Store) error {
			_, err := s.Discard(ctx, store.Query{})
			return err
		}, describeEvents, "[discarded 1+1]"},
		{"hurry", false, func(t *testing.T, s store.Store) { waits(t, s, 1, target, 0) }, func(ctx context.Context, s store.Store) error {
			_, _, err := s.Hurry(ctx, store.Query{}, t0.Add(time.Minute), 0)
			return err
		}, func(t *testing.T, s store.Store) string {
			due, _, err := s.NextDue(t.Context(), target)
			return fmt.Sprint(due.Sub(t0), err)
		}, "1m0s <nil>"},
		{"create replay", false, dead, func(ctx context.Context, s store.Store) error {
			return s.CreateReplay(ctx, &store.Replay{ID: "r"})
		}, describeReplays, "running seen 0 queued 0 of 1"},
		{"step replay", false, replaying, func(ctx context.Context, s store.Store) error {
			_, _, err := s.StepReplay(ctx, "r", 10)
			return err
		}, func(t *testing.T, s store.Store) string { return describeReplays(t, s) + ", " + describeEvents(t, s) },
			"done seen 1 queued 1 of 1, [pending 1+1 round 1]"},
		{"cancel replay", false, replaying, func(ctx context.Context, s store.Store) error {
			_, err := s.CancelReplay(ctx, "r")
			return err
		}, describeReplays, "cancelled seen 0 queued 0 of 1"},
		{"prune", false, dead, func(ctx context.Context, s store.Store) error {
			return pruneAll(ctx, s)
		}, describeEvents, ""},
		{"save route", false, func(*testing.T, store.Store) {}, func(ctx context.Context, s store.Store) error {
			return s.SaveRoute(ctx, store.Route{Target: target, Patterns: []string{"*"}})
		}, func(t *testing.T, s store.Store) string {
			routes, err := s.Routes(t.Context())
			return fmt.Sprint(routes, err)
		}, "[{" + target + " [*]}] <nil>"},
		{"ping", false, func(*testing.T, store.Store) {}, func(ctx context.Context, s store.Store) error { return s.Ping(ctx) },
			describeEvents, ""},
	}
}

// pruneAll prunes until nothing is left: a connection that was cut may hold the
// lock for a moment, and of several at once only one prunes.
func pruneAll(ctx context.Context, s store.Store) error {
	for {
		if _, err := s.Prune(ctx, store.Retention{DeadBefore: farFuture}, 10); err != nil {
			return err
		}
		if page, err := s.Events(ctx, store.Query{}, 0, 1); err != nil || len(page.Deliveries) == 0 {
			return err
		}
	}
}

// check makes the write. repaired says that no error is expected.
func (w write) check(t *testing.T, s store.Store, faults Faults, happens bool, times int, repaired bool) {
	w.prepare(t, s)
	before := w.state(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	faults.Arm(happens, times)
	err := w.do(ctx, s)
	failed := faults.Disarm()
	switch {
	case failed == 0 && w.silent:
		return
	case failed == 0:
		t.Fatal("no commit has failed")
	case repaired && err != nil:
		t.Errorf("one failure was not repaired: %v", err)
	case !repaired && err == nil:
		t.Error("a write whose commit failed was reported as done")
	}
	switch got := w.state(t, s); {
	case err == nil && got != w.want:
		t.Errorf("after it was repaired: %q, want %q", got, w.want)
	case got != before && got != w.want:
		t.Errorf("after the failure: %q, which is neither %q nor %q", got, before, w.want)
	}
	if err == nil {
		return
	}
	if err := w.do(ctx, s); err != nil {
		t.Errorf("the repetition failed: %v", err)
	}
	if got := w.state(t, s); got != w.want {
		t.Errorf("after the repetition: %q, want %q", got, w.want)
	}
}

// describeEvents describes all events: the states of their jobs, attempts as counted
// and as kept.
func describeEvents(t *testing.T, s store.Store) string {
	t.Helper()
	page, err := s.Events(t.Context(), store.Query{}, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range page.Deliveries {
		whole, err := s.Delivery(t.Context(), d.Event.DeliveryID)
		if err != nil {
			t.Fatal(err)
		}
		var jobs []string
		for _, j := range whole.Jobs {
			kept := 0
			for _, a := range whole.Attempts {
				if a.JobID == j.ID {
					kept++
				}
			}
			text := fmt.Sprintf("%s %d+%d", j.State, j.Attempts, kept)
			if j.Round > 0 {
				text += fmt.Sprintf(" round %d", j.Round)
			}
			jobs = append(jobs, text)
		}
		lines = append(lines, fmt.Sprint(jobs))
	}
	return strings.Join(lines, "; ")
}

func describeReplays(t *testing.T, s store.Store) string {
	t.Helper()
	list, err := s.Replays(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range list {
		lines = append(lines, fmt.Sprintf("%s seen %d queued %d of %d", r.State, r.Seen, r.Queued, r.Total))
	}
	return strings.Join(lines, "; ")
}
