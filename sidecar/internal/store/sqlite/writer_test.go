package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/storetest"
)

// gate is a commit that can be held up, counted, and made to fail.
type gate struct {
	commits atomic.Int32
	entered chan struct{} // receives when a commit is about to happen
	open    chan struct{} // is received from before each commit; closed lets all pass
	once    sync.Once     // for letGo

	mu     sync.Mutex
	fail   fault // guarded by mu
	left   int   // guarded by mu: commits that fail; negative means all
	failed int   // guarded by mu: commits that have
}

type fault int

const (
	none   fault = iota
	lost         // the commit fails and did not happen
	landed       // the commit happens and is reported as failed
)

var errDisk = errors.New("disk on fire")

func (g *gate) commit(conn *sql.Conn) error {
	if g.entered != nil {
		g.entered <- struct{}{}
		<-g.open
	}
	g.commits.Add(1)
	f := g.strike()
	if f == lost {
		return errDisk
	}
	if err := sqlite.Commit(conn); err != nil {
		return err
	}
	if f == landed {
		return errDisk
	}
	return nil
}

func (g *gate) strike() fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left == 0 {
		return none
	}
	g.left--
	g.failed++
	return g.fail
}

func (g *gate) next(f fault) { g.Arm(f == landed, 1) }

// Arm implements storetest.Faults.
func (g *gate) Arm(happens bool, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail, g.left, g.failed = lost, n, 0
	if happens {
		g.fail = landed
	}
}

// Disarm implements storetest.Faults.
func (g *gate) Disarm() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = 0
	return g.failed
}

func openGate(t *testing.T, dir string, g *gate) *sqlite.DB {
	t.Helper()
	cfg := sqlite.Config{Dir: dir}
	if g.entered != nil {
		cfg = cfg.WithIndexAfter(time.Hour) // no commit of which the test does not know
	}
	db, err := sqlite.OpenWithCommit(t.Context(), cfg, g.commit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.letGo()
		db.Close()
	})
	return db
}

// letGo opens the gate for good.
func (g *gate) letGo() {
	if g.entered != nil {
		g.once.Do(func() {
			close(g.open)
			go func() {
				for range g.entered {
				}
			}()
		})
	}
}

// held returns a store whose writer stands before the commit of one event, so
// that everything started now forms the next group. letGo lets it continue and
// closes the gate for good.
func held(t *testing.T) (db *sqlite.DB, g *gate, letGo func()) {
	t.Helper()
	g = &gate{entered: make(chan struct{}), open: make(chan struct{})}
	db = openGate(t, t.TempDir(), g)
	var wg sync.WaitGroup
	wg.Go(func() { accept(t, db, "first") })
	<-g.entered
	return db, g, func() {
		g.letGo()
		wg.Wait()
	}
}

// waitFor lets others run until n operations wait for the next group.
func waitFor(db *sqlite.DB, n int) {
	for db.Waiting() < n {
		runtime.Gosched()
	}
}

func TestConcurrentChangesShareACommit(t *testing.T) {
	db, g, letGo := held(t)
	const n = 100
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { accept(t, db, fmt.Sprint(i), "plugin:a") })
	}
	waitFor(db, n)
	if got := g.commits.Load(); got != 0 {
		t.Fatalf("%d commits happened while the first was held", got)
	}
	letGo()
	wg.Wait()
	if got := g.commits.Load(); got != 2 {
		t.Errorf("1 event and then %d waiting ones took %d commits, want 2", n, got)
	}
	if tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 2*n); err != nil || len(tasks) != n {
		t.Errorf("%d jobs, error %v; want %d", len(tasks), err, n)
	}
}

func TestOneFailureDoesNotSpoilItsGroup(t *testing.T) {
	db, g, letGo := held(t)
	const n = 20
	bad := func(i int) bool { return i%7 == 3 }
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			e := newEvent(fmt.Sprint(i))
			e.DeliveryID = fmt.Sprint("delivery ", i)
			if bad(i) {
				e.DeliveryID = "delivery 0" // taken, but by another event
			}
			if i == 0 {
				_, errs[i] = db.Accept(t.Context(), e, []string{"plugin:a"})
				return
			}
			waitFor(db, 1)
			_, errs[i] = db.Accept(t.Context(), e, []string{"plugin:a"})
		})
	}
	waitFor(db, n)
	letGo()
	wg.Wait()
	for i, err := range errs {
		_, found := db.Delivery(t.Context(), fmt.Sprint(i))
		if bad(i) != (err != nil) || bad(i) != errors.Is(found, store.ErrNotFound) {
			t.Errorf("event %d: accept returned %v, delivery %v", i, err, found)
		}
	}
	if got := g.commits.Load(); got != 2 {
		t.Errorf("the group took %d commits, want 2 with the first", got)
	}
}

// The operation that fails has done half of its work already: the attempt is
// recorded when the state, which does not exist, is refused.
func TestHalfAFailedOperationIsUndone(t *testing.T) {
	g := &gate{entered: make(chan struct{}), open: make(chan struct{})}
	db := openGate(t, t.TempDir(), g)
	pass := func(f func()) { // one commit
		var wg sync.WaitGroup
		wg.Go(f)
		<-g.entered
		g.open <- struct{}{}
		wg.Wait()
	}
	pass(func() { accept(t, db, "old", "plugin:a") })
	var tasks []delivery.Task
	var err error
	pass(func() { tasks, err = db.Claim(t.Context(), "plugin:a", time.Now(), 1) }) // the tables catch up
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}

	var wg sync.WaitGroup
	wg.Go(func() { accept(t, db, "first") })
	<-g.entered
	wg.Go(func() { accept(t, db, "second") })
	wg.Go(func() {
		a := delivery.Attempt{JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, Target: tasks[0].Job.Target, N: 1, Outcome: delivery.OutcomeDone}
		if err := db.Finish(t.Context(), a, "no state", time.Time{}); err == nil {
			t.Error("a state that does not exist was accepted")
		}
	})
	waitFor(db, 2)
	g.open <- struct{}{}
	<-g.entered
	g.letGo()
	wg.Wait()

	d, err := db.Delivery(t.Context(), "old")
	if err != nil || len(d.Attempts) != 0 || d.Jobs[0].State != delivery.Pending || d.Jobs[0].Attempts != 0 {
		t.Errorf("delivery %+v, error %v", d, err)
	}
	if _, err := db.Delivery(t.Context(), "second"); err != nil {
		t.Errorf("the rest of the group: %v", err)
	}
}

func TestEndedContext(t *testing.T) {
	t.Run("while waiting, the change is not made", func(t *testing.T) {
		db, _, letGo := held(t)
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error)
		go func() {
			_, err := db.Accept(ctx, newEvent("late"), nil)
			got <- err
		}()
		waitFor(db, 1)
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) { // answered although the writer is held
			t.Errorf("accept: %v", err)
		}
		letGo()
		accept(t, db, "next")
		if _, err := db.Delivery(t.Context(), "late"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("delivery: %v", err)
		}
	})
	t.Run("while being committed, the answer does not wait, and the change is whole", func(t *testing.T) {
		g := &gate{entered: make(chan struct{}), open: make(chan struct{})}
		db := openGate(t, t.TempDir(), g)
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error)
		go func() {
			_, err := db.Accept(ctx, newEvent("taken"), nil)
			got <- err
		}()
		<-g.entered
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) { // the disk has not answered yet
			t.Errorf("accept: %v", err)
		}
		g.letGo()
		accept(t, db, "next") // the group after that of "taken"
		if _, err := db.Delivery(t.Context(), "taken"); err != nil {
			t.Errorf("delivery: %v", err)
		}
	})
}

func TestFaults(t *testing.T) {
	storetest.RunFaults(t, false, func(t *testing.T) (store.Store, storetest.Faults) {
		g := new(gate)
		return openGate(t, t.TempDir(), g), g
	})
}

// After a write that was lost, or has landed and was reported lost, the caller
// repeats, as the contract tells it to, and the store is opened
// again.
func TestFailedCommits(t *testing.T) {
	type env struct {
		db   *sqlite.DB
		task delivery.Task
	}
	writes := []struct {
		name  string
		write func(t *testing.T, e env) error
		check func(t *testing.T, e env) bool // whether the change is there
	}{
		{"accept", func(t *testing.T, e env) error {
			_, err := e.db.Accept(t.Context(), newEvent("new"), []string{"plugin:a"})
			return err
		}, func(t *testing.T, e env) bool {
			d, err := e.db.Delivery(t.Context(), "new")
			return err == nil && len(d.Jobs) == 1
		}},
		{"finish", func(t *testing.T, e env) error {
			a := delivery.Attempt{JobID: e.task.Job.ID, DeliveryID: e.task.Event.DeliveryID, Target: e.task.Job.Target, N: 1, Outcome: delivery.OutcomeDone, StartedAt: time.Now(), FinishedAt: time.Now()}
			return e.db.Finish(t.Context(), a, delivery.Done, time.Time{})
		}, func(t *testing.T, e env) bool {
			d, err := e.db.Delivery(t.Context(), "old")
			listed, _, listErr := e.db.Deliveries(t.Context(), store.Filter{})
			if err != nil || listErr != nil || len(listed) != len(d.Attempts) || d.Delivered() != (len(d.Attempts) == 1) {
				t.Errorf("half a finish: %+v, %d listed, errors %v, %v", d, len(listed), err, listErr)
			}
			return d.Delivered()
		}},
		{"save route", func(t *testing.T, e env) error {
			return e.db.SaveRoute(t.Context(), store.Route{Target: "plugin:a", Patterns: []string{"*"}})
		}, func(t *testing.T, e env) bool {
			routes, err := e.db.Routes(t.Context())
			return err == nil && len(routes) == 1
		}},
	}
	for _, w := range writes {
		for f, name := range map[fault]string{lost: "lost", landed: "landed but reported lost"} {
			for _, behind := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %s, the tables behind %v", w.name, name, behind), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					g := new(gate)
					e := env{db: openGate(t, dir, g)}
					if behind { // the event is claimed from memory
						if _, _, err := e.db.NextDue(t.Context(), "plugin:a"); err != nil {
							t.Fatal(err)
						}
					}
					accept(t, e.db, "old", "plugin:a")
					tasks, err := e.db.Claim(t.Context(), "plugin:a", time.Now(), 1)
					if err != nil || len(tasks) != 1 {
						t.Fatal(tasks, err)
					}
					e.task = tasks[0]

					g.next(f)
					if err := w.write(t, e); !errors.Is(err, errDisk) {
						t.Errorf("the failed commit returned %v", err)
					}
					if got, want := w.check(t, e), f == landed; got != want {
						t.Errorf("after the failure: change made %v, want %v", got, want)
					}
					if again, err := e.db.Claim(t.Context(), "plugin:a", time.Now(), 9); err != nil || len(again) > 0 && again[0].Event.ID == "old" {
						t.Errorf("the claim was lost with the commit: %v, %v", again, err)
					}
					for range 2 {
						if err := w.write(t, e); err != nil {
							t.Errorf("repeating: %v", err)
						}
						if !w.check(t, e) {
							t.Error("repeating did not make the change")
						}
					}
					if err := e.db.Close(); err != nil {
						t.Fatal(err)
					}
					e.db = mustOpen(t, dir)
					if !w.check(t, e) {
						t.Error("reopening lost the change")
					}
				})
			}
		}
	}
}

// Close races with accepts: whoever was told "accepted" is right after
// reopening, and whoever was told "closed" is right too.
func TestCloseAnswersEverybody(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir)
	const n = 64
	var mu sync.Mutex
	accepted := make(map[string]bool)
	var wg sync.WaitGroup
	started := make(chan struct{}, n)
	for p := range n {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprint(p, "-", i)
				_, err := db.Accept(context.Background(), newEvent(key), nil)
				mu.Lock()
				accepted[key] = err == nil
				mu.Unlock()
				if err != nil {
					if !errors.Is(err, store.ErrClosed) {
						t.Errorf("accept: %v", err)
					}
					return
				}
				if i == 1 {
					started <- struct{}{}
				}
			}
		})
	}
	for range n {
		<-started
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	db = mustOpen(t, dir)
	for key, want := range accepted {
		if _, err := db.Delivery(t.Context(), key); (err == nil) != want {
			t.Errorf("%s: accepted %v, but delivery: %v", key, want, err)
		}
	}
}
