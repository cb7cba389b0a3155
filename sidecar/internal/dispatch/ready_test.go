package dispatch_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// moody is a target that is ready or not, and treats events like a plugin.
type moody struct {
	*target

	mu      sync.Mutex
	ok      bool
	changed chan struct{}
}

const moodyHold = time.Second

func newMoody(ok bool) *moody {
	m := &moody{ok: ok, changed: make(chan struct{})}
	m.target = newTarget(name, func(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
		for {
			ok, changed := m.Ready()
			if ok {
				return done(ctx, task)
			}
			select {
			case <-changed:
			case <-m.drained:
				return delivery.Attempt{}, context.Canceled
			case <-time.After(moodyHold):
				return delivery.Attempt{}, fmt.Errorf("deliver: %w", delivery.ErrNotReady)
			}
		}
	})
	return m
}

func (m *moody) Ready() (bool, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ok, m.changed
}

func (m *moody) set(ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ok = ok
	close(m.changed)
	m.changed = make(chan struct{})
}

// watchedStore counts what is asked of a store.
type watchedStore struct {
	store.Store
	claims, releases atomic.Int32
	claimed          func([]delivery.Task) // if not nil, called with what a claim has brought
}

func (s *watchedStore) Claim(ctx context.Context, target string, now time.Time, limit int) ([]delivery.Task, error) {
	s.claims.Add(1)
	tasks, err := s.Store.Claim(ctx, target, now, limit)
	if s.claimed != nil {
		s.claimed(tasks)
	}
	return tasks, err
}

func (s *watchedStore) Release(ctx context.Context, t delivery.Task) error {
	s.releases.Add(1)
	return s.Store.Release(ctx, t)
}

// untouched checks that a job is as it was accepted.
func untouched(t *testing.T, s store.Store, id string) {
	t.Helper()
	if j, attempts := job(t, s, id); j.State != delivery.Pending || j.Attempts != 0 || len(attempts) != 0 {
		t.Errorf("%s: job %+v with attempts %+v", id, j, attempts)
	}
}

// TestNotReady: nothing is claimed for a target that is not ready, whatever
// wakes the loop, and all of it at the moment when it is.
func TestNotReady(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqlite.DB) {
		s, m := &watchedStore{Store: db}, newMoody(false)
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{m}})
		for i := range 30 {
			b.accept(fmt.Sprint(i))
			time.Sleep(time.Minute)
		}
		if n := s.claims.Load(); n != 0 {
			t.Errorf("%d claims", n)
		}
		untouched(t, db, "0")
		m.set(false) // that something has changed does not mean that it is ready
		m.set(true)
		got := b.got()
		if len(got) != 30 {
			t.Fatalf("%d reports", len(got))
		}
		for _, r := range got {
			if r.after != 30*time.Minute || r.n != 1 || r.state != delivery.Done {
				t.Errorf("%+v, want it done at once", r)
			}
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestGivenBack: the target goes down between a claim and the delivery. What was
// claimed is given back untried and in its order, once, and then is another's.
func TestGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqlite.DB) {
		s, m := &watchedStore{Store: db}, newMoody(true)
		s.claimed = func(tasks []delivery.Task) {
			if len(tasks) > 0 && s.releases.Load() == 0 {
				m.set(false)
			}
		}
		ids := []string{"a1", "a2", "b"}
		for i, id := range ids {
			e := &delivery.Event{Key: id, ID: id, Type: "message.sent", ReceivedAt: time.Now(), PayloadLen: -1,
				Entity: id[:1], OrderAt: time.Now().Add(time.Duration(i))}
			if _, err := db.Accept(t.Context(), e, []string{name}); err != nil {
				t.Fatal(err)
			}
		}
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{m}})
		time.Sleep(time.Hour)
		if claims, releases := s.claims.Load(), s.releases.Load(); claims != 1 || releases != 2 {
			t.Errorf("in an hour %d claims and %d releases, want 1 and 2", claims, releases)
		}
		for _, id := range ids {
			untouched(t, db, id)
		}
		// As another sidecar would.
		tasks, err := db.Claim(t.Context(), name, time.Now(), 10)
		if err != nil || len(tasks) != 2 || tasks[0].Event.ID != "a1" || tasks[1].Event.ID != "b" {
			t.Fatalf("claimed %+v, %v", tasks, err)
		}
		for _, task := range tasks {
			if err := db.Release(t.Context(), task); err != nil {
				t.Fatal(err)
			}
		}
		m.set(true)
		order := ""
		for _, r := range b.got() {
			if order += r.event; r.after != time.Hour || r.n != 1 || r.state != delivery.Done {
				t.Errorf("%+v, want it done at once", r)
			}
		}
		if order != "a1a2b" && order != "a1ba2" && order != "ba1a2" {
			t.Errorf("order %s", order)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestReadyAgain: a target that comes up finds also what nobody woke it for, such
// as work of another sidecar.
func TestReadyAgain(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqlite.DB) {
		m := newMoody(true)
		b := start(t, db, dispatch.Config{Targets: []dispatch.Target{m}})
		synctest.Wait() // it sleeps, and was ready
		m.set(false)
		e := &delivery.Event{Key: "a", ID: "a", Type: "message.sent", ReceivedAt: time.Now(), PayloadLen: -1}
		if _, err := db.Accept(t.Context(), e, []string{name}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		m.set(true)
		if got := b.got(); len(got) != 1 || got[0].after != time.Second {
			t.Errorf("reports %+v", got)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestShortlyNotReady: who is back within the hold gets what was claimed, and
// nothing is given back.
func TestShortlyNotReady(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqlite.DB) {
		s, m := &watchedStore{Store: db}, newMoody(true)
		s.claimed = func(tasks []delivery.Task) {
			if len(tasks) > 0 {
				m.set(false)
			}
		}
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{m}})
		b.accept("a")
		time.Sleep(moodyHold / 2)
		m.set(true)
		if got := b.got(); len(got) != 1 || got[0].state != delivery.Done || got[0].after != moodyHold/2 || s.releases.Load() != 0 {
			t.Errorf("reports %+v, %d releases", got, s.releases.Load())
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestNotReadyIsReplacedAndRemoved: neither waits for the target, and a stop of
// the dispatcher does not.
func TestNotReadyIsReplacedAndRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqlite.DB) {
		b := start(t, db, dispatch.Config{Targets: []dispatch.Target{newMoody(false)}})
		b.accept("a")
		synctest.Wait()
		if err := b.d.Replace(newTarget(name, done)); err != nil {
			t.Fatal(err)
		}
		if got := b.got(); len(got) != 1 || got[0].after != 0 {
			t.Errorf("reports %+v, want one at once", got)
		}
		down := newMoody(true)
		if err := b.d.Replace(down); err != nil {
			t.Fatal(err)
		}
		down.set(false)
		b.accept("b")
		synctest.Wait()
		began := time.Now()
		if err := b.d.Remove(t.Context(), name); err != nil || time.Since(began) != 0 {
			t.Errorf("removed after %v, %v", time.Since(began), err)
		}
		untouched(t, db, "b")
		if err := b.d.Add(newMoody(false)); err != nil {
			t.Fatal(err)
		}
		if err := b.end(); err != nil || time.Since(began) != 0 {
			t.Errorf("stopped after %v, %v", time.Since(began), err)
		}
		untouched(t, db, "b")
	})
}
