package retention_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/sidecar/internal/clock"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

const day = 24 * time.Hour

// machine is a store with one dead letter, whose Keeper's clock can be set.
type machine struct {
	t      *testing.T
	store  *sqlite.DB
	mark   string
	limits retention.Limits
	ahead  atomic.Int64 // of the bubble's clock, in nanoseconds
	log    output.Buffer
	keeper *retention.Keeper // of the latest run
}

func newMachine(t *testing.T, dir string) *machine {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	m := &machine{t: t, store: s, mark: filepath.Join(dir, "clock"), limits: retention.Limits{Keep: day, KeepDead: 2 * day}}
	addDead(t, s, "a")
	return m
}

// addDead accepts an event that becomes a dead letter.
func addDead(t *testing.T, s *sqlite.DB, key string) {
	t.Helper()
	e := &delivery.Event{Key: key, ReceivedAt: time.Now(), PayloadLen: -1, Body: make([]byte, 1000)}
	if _, err := s.Accept(t.Context(), e, []string{"plugin:dead"}); err != nil {
		t.Fatal(err)
	}
	tasks, err := s.Claim(t.Context(), "plugin:dead", time.Now(), 1)
	if err != nil || len(tasks) != 1 {
		t.Fatal(len(tasks), err)
	}
	a := delivery.Attempt{JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, Target: "plugin:dead", N: 1, StartedAt: time.Now(), FinishedAt: time.Now(), Outcome: delivery.OutcomeFailed}
	if err := s.Finish(t.Context(), a, delivery.Dead, time.Time{}); err != nil {
		t.Fatal(err)
	}
}

// run is one run of the sidecar, during which the test does things.
func (m *machine) run(during func()) {
	began := time.Now()
	k := retention.New(retention.Config{Store: m.store, Limits: m.limits, Mark: m.mark, Every: 10 * time.Minute,
		Log: slog.New(slog.NewTextHandler(&m.log, nil)),
		Clock: clock.New(func() clock.Reading {
			up := time.Since(began)
			return clock.Reading{Wall: time.Now().Add(time.Duration(m.ahead.Load())), Awake: up, Boot: up}
		})})
	m.keeper = k
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	synctest.Wait()
	during()
	cancel()
	if err := <-done; err != nil {
		m.t.Error(err)
	}
}

// wait lets time pass, and checks whether the dead letter is left.
func (m *machine) wait(d time.Duration, left bool) {
	m.t.Helper()
	time.Sleep(d)
	p, err := m.store.PreviewReplay(m.t.Context(), store.Query{})
	if err != nil || (p.Events == 1) != left {
		m.t.Errorf("%d events are left, want one: %v (%v); log:\n%s", p.Events, left, err, &m.log)
	}
}

func (m *machine) said(word string, want int) {
	m.t.Helper()
	if n := strings.Count(m.log.String(), word); n != want {
		m.t.Errorf("%q was said %d times, want %d; log:\n%s", word, n, want, &m.log)
	}
}

// TestClockJumps: nothing is removed because the clock was far ahead for a time.
func TestClockJumps(t *testing.T) {
	for _, tt := range []struct {
		name string
		test func(m *machine)
	}{
		{"ahead, and then kept for less", func(m *machine) {
			m.limits = retention.Limits{}
			m.run(func() {
				m.ahead.Store(int64(30 * time.Minute))
				m.wait(15*time.Minute, true)
				m.keeper.Set(retention.Limits{KeepDead: 2 * time.Hour})
				m.wait(time.Hour, true)
				m.wait(2*time.Hour, false)
			})
		}},
		{"ahead for a minute", func(m *machine) {
			m.run(func() {
				m.wait(day, true)
				m.ahead.Store(int64(3 * day))
				m.wait(15*time.Minute, true)
				m.said("code=retention-paused", 1)
				m.said("ahead=72h0m0s", 1)
				m.ahead.Store(int64(0))
				m.wait(15*time.Minute, true)
				m.said("removed by their age again", 1)
				m.wait(20*time.Hour, true)
				m.wait(10*time.Hour, false)
				m.said("code=retention-paused", 1)
			})
		}},
		{"ahead, and back a part of the way", func(m *machine) {
			m.run(func() {
				m.wait(time.Hour, true)
				m.ahead.Store(int64(3 * day))
				m.wait(time.Hour, true)
				m.ahead.Store(int64(5 * day / 2))
				m.wait(time.Hour, true)
				m.said("removed by their age again", 0)
				m.ahead.Store(int64(0))
				m.wait(time.Hour, true)
				m.said("removed by their age again", 1)
			})
		}},
		{"ahead for good", func(m *machine) {
			m.run(func() {
				m.wait(time.Hour, true)
				m.ahead.Store(int64(3 * day))
				m.wait(23*time.Hour, true)
				m.wait(2*time.Hour, false)
				m.said("code=retention-paused", 1)
			})
		}},
		{"ahead, and restarted", func(m *machine) {
			m.run(func() { m.wait(time.Hour, true) })
			m.run(func() {
				m.wait(time.Hour, true)
				m.ahead.Store(int64(3 * day))
				m.wait(time.Hour, true)
			})
			m.run(func() { m.wait(time.Hour, true) })
			m.said("code=retention-paused", 2)
			m.ahead.Store(int64(0))
			m.run(func() { m.wait(time.Hour, true) })
			m.said("code=retention-paused", 2)
			m.said("removed by their age again", 1)
		}},
		{"ahead at a start, and set while it runs", func(m *machine) {
			m.run(func() { m.wait(time.Hour, true) })
			m.ahead.Store(int64(3 * day))
			m.run(func() {
				m.said("code=retention-paused", 1) // at once
				m.wait(time.Hour, true)
				m.ahead.Store(int64(0))
				m.wait(time.Hour, true)
				m.said("removed by their age again", 1)
			})
		}},
		{"ahead at the first start that knows of the file", func(m *machine) {
			m.ahead.Store(int64(3 * day))
			m.run(func() {
				m.said("code=retention-paused", 1)
				m.wait(time.Hour, true)
				m.ahead.Store(int64(0))
				m.wait(time.Hour, true)
				m.said("removed by their age again", 1)
			})
		}},
		{"ahead, restarted more often than the pause lasts", func(m *machine) {
			m.run(func() { m.wait(time.Hour, true) })
			m.ahead.Store(int64(3 * day))
			m.run(func() { m.wait(16*time.Hour, true) })
			m.run(func() { m.wait(9*time.Hour, false) })
		}},
		{"a file that cannot be read", func(m *machine) {
			m.run(func() { m.wait(time.Hour, true) })
			if err := os.WriteFile(m.mark, []byte("{"), 0o600); err != nil {
				m.t.Fatal(err)
			}
			m.ahead.Store(int64(3 * day))
			m.run(func() { m.wait(time.Hour, true) })
		}},
		{"what is kept for a short time is not kept for days", func(m *machine) {
			m.limits = retention.Limits{KeepDead: time.Hour}
			m.run(func() {})
			m.ahead.Store(int64(3 * day))
			m.run(func() {
				m.wait(55*time.Minute, true)
				m.wait(16*time.Minute, false)
			})
		}},
		{"off for a night", func(m *machine) {
			m.limits = retention.Limits{KeepDead: time.Hour}
			m.run(func() {})
			time.Sleep(15 * time.Hour)
			m.run(func() { m.wait(11*time.Minute, false) })
			m.said("code=retention-paused", 0)
		}},
		{"set back", func(m *machine) {
			m.run(func() {
				m.wait(time.Hour, true)
				m.ahead.Store(int64(-3 * day))
				m.wait(day, true) // by its clock it is young
				m.said("code=retention-paused", 0)
				m.ahead.Store(int64(0))
				m.wait(time.Hour, true)
				m.said("code=retention-paused", 1)
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { tt.test(newMachine(t, dir)) })
		})
	}
}

// TestSizeGoesByNoClock: a store that is too large is emptied whatever the clock
// says.
func TestSizeGoesByNoClock(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, dir)
		m.limits = retention.Limits{Keep: day, MaxBytes: 1}
		m.run(func() {
			time.Sleep(30 * time.Second)
			m.ahead.Store(int64(3 * day))
			time.Sleep(time.Hour)
			for i := range 10 {
				if _, err := m.store.Accept(t.Context(), &delivery.Event{Key: fmt.Sprint(i), ReceivedAt: time.Now(), PayloadLen: -1}, nil); err != nil {
					t.Fatal(err)
				}
			}
			m.wait(11*time.Minute, true) // the dead letter
			m.said("code=retention-paused", 1)
		})
	})
}
