package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// claimNow claims up to limit jobs of target a.
func claimNow(t testing.TB, ctx context.Context, db *sqlite.DB, limit int) []delivery.Task {
	t.Helper()
	tasks, err := db.Claim(ctx, "a", time.Now(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

func TestFreshEventsAreClaimedWithoutAQuery(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	claimNow(t, t.Context(), db, 10)
	for n := range 5 {
		accept(t, db, strconv.Itoa(n), "a", "b")
	}
	noQuery, cancel := context.WithCancel(t.Context())
	cancel()
	tasks := claimNow(t, noQuery, db, 5)
	if len(tasks) != 5 {
		t.Fatalf("claimed %d of 5 events from memory", len(tasks))
	}
	if _, err := db.Claim(noQuery, "b", time.Now(), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("target b, of which nothing is known yet: %v, want a query, which fails", err)
	}
	// One end of a job and a release: the others are still known.
	a := delivery.Attempt{JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, Target: "a", N: 1, Outcome: delivery.OutcomeDone}
	if err := db.Finish(t.Context(), a, delivery.Done, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, found, err := db.NextDue(noQuery, "a"); found || err != nil {
		t.Errorf("next due: %v, %v; want nothing, without a query", found, err)
	}
	if err := db.Release(t.Context(), tasks[1]); err != nil {
		t.Fatal(err)
	}
	if again := claimNow(t, t.Context(), db, 5); len(again) != 1 || again[0].Job.ID != tasks[1].Job.ID {
		t.Errorf("after a release claimed %d jobs, want that one", len(again))
	}
}

// TestMoreThanMemoryHolds lets more events wait than are kept in memory.
func TestMoreThanMemoryHolds(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	if err := db.Set(t.Context(), "synchronous = OFF"); err != nil {
		t.Fatal(err)
	}
	claimNow(t, t.Context(), db, 1)
	const events = sqlite.MaxAhead
	var wg sync.WaitGroup
	for p := range 32 {
		wg.Go(func() {
			for n := p; n < events; n += 32 {
				if _, err := db.Accept(t.Context(), newEvent(strconv.Itoa(n)), []string{"a"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := db.InMemory(); n == 0 || n > events/2 {
		t.Errorf("%d of %d jobs are in memory, want up to half as many", n, events)
	}
	seen := make(map[int64]bool)
	for last := (time.Time{}); ; {
		tasks := claimNow(t, t.Context(), db, 100)
		if len(tasks) == 0 {
			break
		}
		for _, task := range tasks {
			if seen[task.Job.ID] || task.Job.NextAt.Before(last) {
				t.Fatalf("job %d, due at %v after one due at %v: seen before %v", task.Job.ID, task.Job.NextAt, last, seen[task.Job.ID])
			}
			seen[task.Job.ID], last = true, task.Job.NextAt
		}
	}
	if len(seen) != events {
		t.Errorf("claimed %d of %d events", len(seen), events)
	}
}

// TestMemoryAgreesWithTheDatabase does at random what a store is asked to do, with
// commits that fail and commits that land all the same, and compares each claim with
// what the database says.
func TestMemoryAgreesWithTheDatabase(t *testing.T) {
	seeds := 4
	if n, err := strconv.Atoi(os.Getenv("HOOKSWITCH_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := &modelled{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), gate: new(gate), now: time.Now()}
			m.open()
			for range 250 {
				m.step()
			}
		})
	}
}

// modelled is a store under random use, and what its user knows.
type modelled struct {
	t       *testing.T
	rnd     *rand.Rand
	dir     string
	gate    *gate
	db      *sqlite.DB
	now     time.Time
	events  []*delivery.Event
	claimed []delivery.Task
	did     string
}

func (m *modelled) open() {
	db, err := sqlite.OpenWithCommit(m.t.Context(), sqlite.Config{Dir: m.dir}, m.gate.commit)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := db.Set(m.t.Context(), "synchronous = OFF"); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { db.Close() })
	m.db, m.claimed = db, nil
}

var twoTargets = []string{"a", "b"}

// check fails unless err is that of the commit that was made to fail.
func (m *modelled) check(err error) {
	if err != nil && !errors.Is(err, errDisk) {
		m.t.Fatalf("%s: %v", m.did, err)
	}
}

func (m *modelled) step() {
	ctx := m.t.Context()
	m.now = m.now.Add(time.Duration(m.rnd.IntN(2000)) * time.Millisecond)
	if m.rnd.IntN(10) == 0 {
		m.gate.next([]fault{lost, landed}[m.rnd.IntN(2)])
	}
	switch m.rnd.IntN(12) {
	case 0, 1, 2:
		m.did = "accept"
		e := newEvent(fmt.Sprint(len(m.events)))
		e.ReceivedAt = time.Now().Add(-time.Duration(m.rnd.IntN(1000)) * time.Millisecond)
		if m.rnd.IntN(2) == 0 {
			e.Entity, e.OrderAt = fmt.Sprint("call:", m.rnd.IntN(3)), e.ReceivedAt.Add(time.Duration(m.rnd.IntN(9)-4)*time.Second)
		}
		_, err := m.db.Accept(ctx, e, twoTargets[:1+m.rnd.IntN(2)])
		m.check(err)
		m.events = append(m.events, e)
	case 3, 4, 5:
		m.claim(twoTargets[m.rnd.IntN(2)], 1+m.rnd.IntN(4))
	case 6, 7:
		m.finish()
	case 8:
		if len(m.claimed) > 0 {
			m.did = "release"
			i := m.rnd.IntN(len(m.claimed))
			m.check(m.db.Release(ctx, m.claimed[i]))
			m.claimed = slices.Delete(m.claimed, i, i+1)
		}
	case 9:
		m.replay()
	case 10:
		if len(m.events) > 0 {
			m.did = "record"
			e := *m.events[m.rnd.IntN(len(m.events))]
			_, err := m.db.Record(ctx, &e, delivery.Attempt{Target: "a", StartedAt: m.now, FinishedAt: m.now, Outcome: delivery.OutcomeRetry}, []string{"b"})
			m.check(err)
			// A claim from before has a number that is taken.
			for i, t := range m.claimed {
				if t.Event.Key == e.Key && t.Job.Target == "a" {
					m.did = "release after record"
					m.check(m.db.Release(ctx, t))
					m.claimed = slices.Delete(m.claimed, i, i+1)
					break
				}
			}
		}
	case 11:
		switch m.rnd.IntN(4) {
		case 0:
			m.did = "reopen"
			m.gate.Arm(false, 0)
			if err := m.db.Close(); err != nil {
				m.t.Fatal(err)
			}
			m.open()
		case 1:
			m.did = "reschedule"
			_, err := m.db.Reschedule(ctx, "a", m.now.Add(-time.Minute), delivery.Schedule{time.Second})
			m.check(err)
		}
	}
	m.gate.Arm(false, 0)
	for _, target := range twoTargets {
		m.checkNextDue(target)
	}
}

// finish ends an attempt at a claimed job, and repeats that until it is recorded.
func (m *modelled) finish() {
	if len(m.claimed) == 0 {
		return
	}
	m.did = "finish"
	i := m.rnd.IntN(len(m.claimed))
	t := m.claimed[i]
	m.claimed = slices.Delete(m.claimed, i, i+1)
	a := delivery.Attempt{JobID: t.Job.ID, DeliveryID: t.Event.DeliveryID, Target: t.Job.Target, N: t.Job.Attempts + 1, StartedAt: m.now, FinishedAt: m.now}
	state, due := delivery.Done, time.Time{}
	a.Outcome = delivery.OutcomeDone
	switch m.rnd.IntN(3) {
	case 0:
		state, due, a.Outcome = delivery.Pending, m.now.Add(time.Duration(m.rnd.IntN(20)-2)*time.Second), delivery.OutcomeRetry
	case 1:
		state, a.Outcome = delivery.Dead, delivery.OutcomeFailed
	}
	for {
		err := m.db.Finish(m.t.Context(), a, state, due)
		m.check(err)
		if err == nil {
			return
		}
	}
}

func (m *modelled) replay() {
	m.did = "replay"
	r := &store.Replay{Query: store.Query{Status: store.StatusDead}, Targets: twoTargets[:m.rnd.IntN(2)]}
	if m.rnd.IntN(2) == 0 {
		r.Query = store.Query{}
		r.Targets = twoTargets
	}
	if err := m.db.CreateReplay(m.t.Context(), r); err != nil {
		m.check(err)
		return
	}
	_, _, err := m.db.StepReplay(m.t.Context(), r.ID, 1+m.rnd.IntN(3))
	m.check(err)
}

// available returns the jobs that a claim may hand out, in order, whenever they are
// due.
func (m *modelled) available(target string) (list []sqlite.WaitingJob) {
	all, err := m.db.WaitingIn(m.t.Context(), target)
	if err != nil {
		m.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(j sqlite.WaitingJob) bool {
		return slices.ContainsFunc(m.claimed, func(t delivery.Task) bool {
			return t.Job.Target == target && (t.Job.ID == j.ID || j.Entity != "" && t.Event.Entity == j.Entity)
		})
	})
}

func (m *modelled) claim(target string, limit int) {
	var want, got []int64
	for _, j := range m.available(target) {
		if j.First && j.Due <= m.now.UnixMicro() && len(want) < limit {
			want = append(want, j.Due)
		}
	}
	tasks, err := m.db.Claim(m.t.Context(), target, m.now, limit)
	if err != nil {
		m.check(err) // it has put off others, and that commit failed
		return
	}
	for _, t := range tasks {
		got = append(got, t.Job.NextAt.UnixMicro())
	}
	if !slices.Equal(got, want) {
		m.t.Fatalf("after %s: claim at %s returned jobs due at %v, want %v", m.did, target, got, want)
	}
	m.claimed = append(m.claimed, tasks...)
	m.did = "claim"
}

// checkNextDue compares the answer with the jobs that are not claimed. One that waits
// for another of its entity may be told, or not.
func (m *modelled) checkNextDue(target string) {
	at, found, err := m.db.NextDue(m.t.Context(), target)
	if err != nil {
		m.t.Fatal(err)
	}
	list := m.available(target)
	first := slices.IndexFunc(list, func(j sqlite.WaitingJob) bool { return j.First })
	switch {
	case !found && first < 0:
	case found && first >= 0 && list[0].Due <= at.UnixMicro() && at.UnixMicro() <= list[first].Due:
	default:
		m.t.Fatalf("after %s: %s has something due at %v, %v; want one of the first %d of %+v", m.did, target, at.UnixMicro(), found, first+1, list)
	}
}
