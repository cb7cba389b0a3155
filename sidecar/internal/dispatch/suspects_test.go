package dispatch_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// mortal is an app that some events kill. It takes a while to start again.
type mortal struct {
	restart time.Duration
	work    time.Duration // for an event

	mu       sync.Mutex
	upAt     time.Time
	diedAt   time.Time
	inFlight int
	died     chan struct{} // closed and replaced when it dies
	log      []visit
}

// visit is an attempt that reached the app.
type visit struct {
	event string
	at    time.Time
	alone bool
	ok    bool
}

func newMortal(upAt time.Time, restart time.Duration) *mortal {
	return &mortal{restart: restart, work: 5 * time.Millisecond, upAt: upAt, died: make(chan struct{})}
}

func (m *mortal) deliver(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
	m.mu.Lock()
	if time.Now().Before(m.upAt) && time.Since(m.diedAt) >= 200*time.Millisecond {
		m.mu.Unlock()
		return delivery.Attempt{Outcome: delivery.OutcomeRetry, Unavailable: true, ErrorCodes: []int{75002}, Error: "connection refused"}, nil
	}
	if time.Since(m.diedAt) < 200*time.Millisecond { // a socket that has not been closed yet
		m.mu.Unlock()
		return brokeOff(), nil
	}
	m.inFlight++
	v := visit{event: task.Event.Key, at: time.Now(), alone: m.inFlight == 1}
	died := m.died
	m.mu.Unlock()

	killer := strings.HasPrefix(task.Event.Key, "killer")
	work := m.work
	if killer {
		work /= 2
	}
	select {
	case <-time.After(work):
		v.ok = !killer
	case <-died:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight--
	m.log = append(m.log, v)
	if v.ok {
		return delivery.Attempt{Outcome: delivery.OutcomeDone, ResponseStatus: 200}, nil
	}
	if killer && m.died == died {
		close(m.died)
		m.died = make(chan struct{})
		m.diedAt, m.upAt = time.Now(), time.Now().Add(m.restart)
		m.mu.Unlock()
		time.Sleep(time.Millisecond) // the others notice first
		m.mu.Lock()
	}
	return brokeOff(), nil
}

func brokeOff() delivery.Attempt {
	return delivery.Attempt{Outcome: delivery.OutcomeRetry, Unavailable: true, BrokeOff: true, ErrorCodes: []int{75000}, Error: "did it crash?",
		RequestHeader: [][2]string{{"Webhook-Id", "x"}}}
}

// runMortal delivers events to an app until all has been done that can be, and
// returns how many attempts counted against each event.
func runMortal(t *testing.T, s *sqlite.DB, m *mortal, events []string, schedule delivery.Schedule) (counted map[string]int, states map[string]delivery.State) {
	t.Helper()
	var mu sync.Mutex
	counted, states = make(map[string]int), make(map[string]delivery.State)
	d, err := dispatch.New(dispatch.Config{
		Store: s, Targets: []dispatch.Target{newTarget("forward:app", m.deliver)}, Schedule: schedule,
		OnAttempt: func(task delivery.Task, a delivery.Attempt, state delivery.State, _ time.Time) {
			mu.Lock()
			defer mu.Unlock()
			states[task.Event.Key] = state
			if a.Outcome == delivery.OutcomeRetry {
				counted[task.Event.Key]++
			}
			if a.Outcome == delivery.OutcomeLost && !strings.Contains(a.Error, "does not count") {
				t.Errorf("an attempt that does not count does not say so: %q", a.Error)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range events {
		if _, err := s.Accept(t.Context(), &delivery.Event{Key: key, PayloadLen: -1}, []string{"forward:app"}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	time.Sleep(3 * time.Hour)
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return counted, states
}

func manyEvents(n int, killers ...int) (events []string) {
	for i := range n {
		if slices.Contains(killers, i) {
			events = append(events, fmt.Sprint("killer", i))
		} else {
			events = append(events, fmt.Sprint("event", i))
		}
	}
	return events
}

// TestKillersTakeNobodyWithThem: events that kill the app end as dead letters,
// after as many attempts as the schedule has. No other event is charged for
// them, though the schedule would not allow it a second failure.
func TestKillersTakeNobodyWithThem(t *testing.T) {
	for _, killers := range [][]int{{0}, {39}, {3, 4, 20}} {
		bubble(t, func(t *testing.T, s *sqlite.DB) {
			m := newMortal(time.Now(), 3*time.Second)
			counted, states := runMortal(t, s, m, manyEvents(40, killers...), delivery.Schedule{5 * time.Second})
			for key, state := range states {
				want, attempts := delivery.Done, 0
				if strings.HasPrefix(key, "killer") {
					want, attempts = delivery.Dead, 2
				}
				if state != want || counted[key] != attempts {
					t.Errorf("killers %v: %s is %s after %d attempts that count, want %s after %d", killers, key, state, counted[key], want, attempts)
				}
			}
			if len(states) != 40 {
				t.Errorf("killers %v: %d events were tried", killers, len(states))
			}
			// Alone, once it is known what they may do.
			seen := make(map[string]int)
			for _, v := range m.log {
				if seen[v.event]++; !v.alone && seen[v.event] > 1 {
					t.Errorf("killers %v: %s was there again, and not alone", killers, v.event)
				}
			}
		})
	}
}

// TestComebackIsStaged: what has waited for an app does not all go out at the
// moment at which it is back.
func TestComebackIsStaged(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		m := newMortal(time.Now().Add(time.Minute), 3*time.Second)
		long := slices.Repeat(delivery.Schedule{10 * time.Second}, 30)
		counted, states := runMortal(t, s, m, manyEvents(40, 25), long)
		if len(m.log) == 0 {
			t.Fatal("nothing arrived")
		}
		first, early, soon := m.log[0].at, 0, 0
		killed := slices.IndexFunc(m.log, func(v visit) bool { return !v.ok })
		for i, v := range m.log {
			if since := v.at.Sub(first); since < 10*time.Millisecond {
				early++
			} else if since < 600*time.Millisecond && i < killed {
				soon++
			}
		}
		if early > 1 || soon > 2+4 {
			t.Errorf("%d events arrived at once, %d within 600ms", early, soon)
		}
		for key, state := range states {
			if want := map[bool]delivery.State{true: delivery.Dead, false: delivery.Done}[key == "killer25"]; state != want {
				t.Errorf("%s is %s, after %d attempts that count", key, state, counted[key])
			}
		}
		// Last: the second time all had been there that were not suspects
		// themselves, the third time all.
		visits, suspects := 0, make(map[string]bool)
		for _, v := range m.log {
			suspects[v.event] = suspects[v.event] || !v.ok
		}
		missing := maps.Clone(states)
		for _, v := range m.log {
			if v.ok {
				delete(missing, v.event)
			}
			if v.event != "killer25" {
				continue
			}
			visits++
			for key := range missing {
				if key != v.event && (visits > 2 || visits == 2 && !suspects[key]) {
					t.Errorf("at visit %d of the killer %s had not arrived", visits, key)
				}
			}
		}
	})
}

// TestSuspectsDoNotStarve: with no end of other events a suspect goes alone all
// the same.
func TestSuspectsDoNotStarve(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		m := newMortal(time.Now(), 10*time.Millisecond)
		d, err := dispatch.New(dispatch.Config{Store: s, Targets: []dispatch.Target{newTarget("forward:app", m.deliver)}, Schedule: delivery.Schedule{time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		m.work = 100 * time.Millisecond
		for i := range 750 { // 45 s, with always one under way
			key := fmt.Sprint("event", i)
			if i == 10 {
				key = "killer"
			}
			if _, err := s.Accept(t.Context(), &delivery.Event{Key: key, PayloadLen: -1}, []string{"forward:app"}); err != nil {
				t.Fatal(err)
			}
			d.Wake([]string{"forward:app"})
			time.Sleep(60 * time.Millisecond)
		}
		synctest.Wait()
		m.mu.Lock()
		visits := slices.DeleteFunc(slices.Clone(m.log), func(v visit) bool { return v.event != "killer" })
		m.mu.Unlock()
		if len(visits) < 2 || !visits[1].alone {
			t.Errorf("the killer's visits: %+v, want a second one, alone", visits)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestAnAppThatStaysAway: what happens in the minutes after a crash is put down
// to it, and does not count. An app that is still away after them is down, as
// in any outage, and its events end as their schedule says.
func TestAnAppThatStaysAway(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		began := time.Now()
		tg := newTarget(name, func(context.Context, delivery.Task) (delivery.Attempt, error) {
			if time.Since(began) < time.Second {
				time.Sleep(time.Second) // with its neighbour
				return brokeOff(), nil
			}
			return delivery.Attempt{Outcome: delivery.OutcomeRetry, Unavailable: true, Error: "connection refused"}, nil
		})
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{tg}, Schedule: delivery.Schedule{time.Minute}})
		b.accept("a", "b")
		time.Sleep(9 * time.Minute)
		for _, id := range []string{"a", "b"} {
			if j, _ := job(t, s, id); j.State != delivery.Pending {
				t.Errorf("%s is %s while the app may be starting again", id, j.State)
			}
		}
		time.Sleep(time.Hour)
		for _, id := range []string{"a", "b"} {
			if j, _ := job(t, s, id); j.State != delivery.Dead {
				t.Errorf("%s is %s after an hour, %d attempts of which %d do not count", id, j.State, j.Attempts, j.Base)
			}
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}
