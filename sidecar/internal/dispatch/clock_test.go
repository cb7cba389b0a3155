package dispatch_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/clock"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// setClock is a wall clock that can be set; that of the bubble goes on.
type setClock struct{ by atomic.Int64 }

func (c *setClock) set(by time.Duration) { c.by.Store(int64(by)) }

func (c *setClock) now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

func (c *setClock) clock() *clock.Clock {
	began := time.Now()
	return clock.New(func() clock.Reading {
		passed := time.Since(began)
		return clock.Reading{Wall: c.now(), Awake: passed, Boot: passed}
	})
}

// TestClockSetBack: what waits does not wait for the hour to pass again.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		defer s.Close()
		var wall setClock
		var log bytes.Buffer
		fails := newTarget(name, outcome(delivery.OutcomeRetry, 0))
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{fails}, Schedule: delivery.Schedule{10 * time.Minute},
			Clock: wall.clock(), Log: slog.New(slog.NewTextHandler(&log, nil))})
		b.accept("retried")
		time.Sleep(time.Minute)
		wall.set(-time.Hour)
		time.Sleep(time.Minute)
		b.accept("untried") // due an hour ahead of the clock
		time.Sleep(20 * time.Minute)
		var retried, untried time.Duration
		for _, r := range b.got() {
			switch {
			case r.event == "retried" && r.n == 2:
				retried = r.after
			case r.event == "untried" && r.n == 1:
				untried = r.after
			}
		}
		if retried == 0 || retried > 17*time.Minute {
			t.Errorf("the second attempt was after %v, want within 15 minutes of the clock being set", retried)
		}
		if untried == 0 || untried > 3*time.Minute+5*time.Second {
			t.Errorf("an event that was never tried was tried after %v, want within a minute of 2m", untried)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "set back"); n != 1 || !strings.Contains(log.String(), "by=1h0m0s") || !strings.Contains(log.String(), "code=clock-set") {
			t.Errorf("%d lines say that the clock was set back; log:\n%s", n, log.String())
		}
	})
}

// TestClockSetBackBeforeStart: a sidecar that starts does not see that the clock
// was set, only what waits.
func TestClockSetBackBeforeStart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		defer s.Close()
		e := &delivery.Event{Key: "a", ID: "a", Type: "message.sent", ReceivedAt: time.Now(), PayloadLen: -1}
		if _, err := s.Accept(t.Context(), e, []string{name}); err != nil {
			t.Fatal(err)
		}
		var wall setClock
		wall.set(-91 * 24 * time.Hour)
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{newTarget(name, done)}, Clock: wall.clock()})
		if got := b.got(); len(got) != 1 || got[0].after != 0 {
			t.Errorf("attempts %+v, want one at once", got)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestClockSetForward: an event is not too old to be tried again because the
// clock was set forward, be it rightly or wrongly.
func TestClockSetForward(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		defer s.Close()
		var wall setClock
		fails := newTarget(name, func(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
			a, err := outcome(delivery.OutcomeRetry, time.Hour)(ctx, task)
			a.FinishedAt = wall.now()
			return a, err
		})
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{fails}, Schedule: make(delivery.Schedule, 100), MaxAge: 24 * time.Hour, Clock: wall.clock()})
		b.accept("a")
		time.Sleep(10*time.Hour + time.Minute)
		wall.set(91 * 24 * time.Hour)
		time.Sleep(10 * time.Hour)
		got := b.got()
		if last := got[len(got)-1]; last.state != delivery.Pending || last.after < 19*time.Hour {
			t.Errorf("the last attempt is %+v, want one that is not the end", last)
		}
		time.Sleep(10 * time.Hour)
		got = b.got()
		if last := got[len(got)-1]; last.state != delivery.Dead || last.after < 22*time.Hour || last.after > 25*time.Hour {
			t.Errorf("the last attempt is %+v, want the end after a day", last)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// unmoved is a store whose next Reschedule fails once it is told so.
type unmoved struct {
	store.Store
	fail  atomic.Bool
	again chan time.Duration // how long after that there was another
	at    time.Time
}

func (u *unmoved) Reschedule(ctx context.Context, target string, now time.Time, s delivery.Schedule) (int, error) {
	if u.fail.Swap(false) {
		u.at = time.Now()
		return 0, errDisk
	}
	if !u.at.IsZero() {
		u.again <- time.Since(u.at)
		u.at = time.Time{}
	}
	return u.Store.Reschedule(ctx, target, now, s)
}

// TestRescheduleIsRepeated: an error of the store does not leave what waits to
// the next look, which is a minute away.
func TestRescheduleIsRepeated(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		defer s.Close()
		var wall setClock
		u := &unmoved{Store: s, again: make(chan time.Duration, 1)}
		fails := newTarget(name, outcome(delivery.OutcomeRetry, 0))
		b := start(t, u, dispatch.Config{Targets: []dispatch.Target{fails}, Schedule: delivery.Schedule{10 * time.Minute}, Clock: wall.clock()})
		b.accept("retried")
		time.Sleep(time.Minute)
		b.accept("other") // so that there has just been a look
		u.fail.Store(true)
		wall.set(-time.Hour)
		if took := <-u.again; took > time.Second {
			t.Errorf("after an error it was done again in %v", took)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}
