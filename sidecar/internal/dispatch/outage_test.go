package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// outage is an app that cannot be reached until a moment.
type outage struct {
	until time.Time

	mu       sync.Mutex
	inFlight int
	most     int              // in flight while it was down
	tries    int              // while it was down
	got      map[string][]int // by entity, the events in the order of delivery
}

func (o *outage) deliver(_ context.Context, task delivery.Task) (delivery.Attempt, error) {
	o.mu.Lock()
	o.inFlight++
	down := time.Now().Before(o.until)
	if down {
		o.tries++
		o.most = max(o.most, o.inFlight)
	}
	o.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight--
	if down {
		return delivery.Attempt{Outcome: delivery.OutcomeRetry, Unavailable: true, ErrorCodes: []int{75002}, Error: "connection refused"}, nil
	}
	var n int
	fmt.Sscanf(task.Event.Key, "%d", &n)
	o.got[task.Event.Entity] = append(o.got[task.Event.Entity], n)
	return delivery.Attempt{Outcome: delivery.OutcomeDone}, nil
}

// TestAppThatIsDownForAnHour: everything arrives, in order where that is asked
// for, no schedule is used up against a wall, and others do not notice.
func TestAppThatIsDownForAnHour(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		const events, entities = 400, 40
		app := &outage{until: time.Now().Add(time.Hour), got: make(map[string][]int)}
		var mu sync.Mutex
		elsewhere := 0
		other := newTarget("plugin:other", func(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
			mu.Lock()
			defer mu.Unlock()
			elsewhere++
			return done(ctx, task)
		})
		down := newTarget("forward:down", app.deliver)
		d, err := dispatch.New(dispatch.Config{Store: s, Targets: []dispatch.Target{down, other},
			Schedule: delivery.Schedule{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()

		for i := range events {
			e := &delivery.Event{Key: fmt.Sprint(i), Type: "call.hangup", PayloadLen: -1, ReceivedAt: time.Now(),
				Entity: fmt.Sprintf("call:%d", i%entities), OrderAt: time.Now().Add(-time.Duration(i) * time.Second)} // backwards
			if i%10 == 0 {
				e.Entity = ""
			}
			if _, err := s.Accept(t.Context(), e, []string{"forward:down", "plugin:other"}); err != nil {
				t.Fatal(err)
			}
		}
		d.Wake([]string{"forward:down", "plugin:other"})
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		if elsewhere != events {
			t.Errorf("the other target has %d of %d events after a minute", elsewhere, events)
		}
		mu.Unlock()
		if status := statusOf(d, "forward:down"); status.UnavailableSince.IsZero() || status.Slots != 1 || status.NextProbe.IsZero() {
			t.Errorf("status during the outage: %+v", status)
		}
		time.Sleep(2 * time.Hour)
		if status := statusOf(d, "forward:down"); !status.UnavailableSince.IsZero() || status.Slots != 16 {
			t.Errorf("status after the outage: %+v", status)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		app.mu.Lock()
		defer app.mu.Unlock()
		// Ten to find out, the rest of those in flight, and one each half
		// minute.
		if app.tries > 10+16+3*120 || app.most > 16 {
			t.Errorf("%d attempts during the outage, %d at the same time", app.tries, app.most)
		}
		total := 0
		for entity, list := range app.got {
			total += len(list)
			if entity != "" && !slices.IsSortedFunc(list, func(a, b int) int { return b - a }) {
				t.Errorf("%s was delivered in the order %v, want the last to come first", entity, list)
			}
		}
		if total != events {
			t.Errorf("%d of %d events arrived", total, events)
		}
	})
}

func statusOf(d *dispatch.Dispatcher, name string) dispatch.TargetStatus {
	for _, s := range d.Status() {
		if s.Name == name {
			return s
		}
	}
	return dispatch.TargetStatus{}
}

// TestFailuresOfEventsDoNotSlowTheTarget: an app that answers and does not like
// an event is there.
func TestFailuresOfEventsDoNotSlowTheTarget(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		tg := newTarget("forward:picky", outcome(delivery.OutcomeRetry, 0))
		d, err := dispatch.New(dispatch.Config{Store: s, Targets: []dispatch.Target{tg}, Schedule: delivery.Schedule{time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		for i := range 50 {
			if _, err := s.Accept(t.Context(), &delivery.Event{Key: fmt.Sprint(i), PayloadLen: -1}, []string{"forward:picky"}); err != nil {
				t.Fatal(err)
			}
		}
		d.Wake([]string{"forward:picky"})
		time.Sleep(time.Second)
		if status := statusOf(d, "forward:picky"); !status.UnavailableSince.IsZero() {
			t.Errorf("status %+v", status)
		}
		page, err := s.Events(t.Context(), store.Query{Status: store.StatusRetrying}, 0, 100)
		if err != nil || len(page.Deliveries) != 50 {
			t.Errorf("%d events were tried, %v; want all", len(page.Deliveries), err)
		}
		cancel()
		<-ended
	})
}

// TestTargetsComeAndGo: a target that is added gets what waits for it, one that
// is removed leaves its jobs to a successor.
func TestTargetsComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		d, err := dispatch.New(dispatch.Config{Store: s, Concurrency: 3})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		synctest.Wait()
		for round := range 2 {
			var mu sync.Mutex
			calls := 0
			tg := newTarget(name, func(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
				mu.Lock()
				defer mu.Unlock()
				calls++
				return done(ctx, task)
			})
			if _, err := s.Accept(t.Context(), &delivery.Event{Key: fmt.Sprint(round), PayloadLen: -1}, []string{name}); err != nil {
				t.Fatal(err)
			}
			if err := d.Add(tg); err != nil {
				t.Fatal(err)
			}
			if err := d.Add(tg); err == nil {
				t.Error("a name was taken twice")
			}
			if names := d.Route("call.hangup"); !slices.Equal(names, []string{name}) {
				t.Errorf("route %v", names)
			}
			if status := statusOf(d, name); status.Slots != 3 {
				t.Errorf("status %+v, want the slots of its policy", status)
			}
			time.Sleep(time.Second)
			if err := d.Remove(ctx, name); err != nil {
				t.Fatal(err)
			}
			if err := d.Remove(ctx, name); err != nil {
				t.Errorf("removed again: %v", err)
			}
			if names := d.Route("call.hangup"); len(names) != 0 {
				t.Errorf("after it is gone the route is %v", names)
			}
			mu.Lock()
			if calls != 1 {
				t.Errorf("round %d: %d calls, want 1", round, calls)
			}
			mu.Unlock()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestRemovedWhileEventsWait: events that wait for a target that goes are not
// charged with an attempt, and wait for a successor.
func TestRemovedWhileEventsWait(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		d, err := dispatch.New(dispatch.Config{Store: s, Concurrency: 2})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		for i := range 5 {
			if _, err := s.Accept(t.Context(), &delivery.Event{Key: fmt.Sprint(i), PayloadLen: -1}, []string{name}); err != nil {
				t.Fatal(err)
			}
		}
		var tg *target
		tg = newTarget(name, func(context.Context, delivery.Task) (delivery.Attempt, error) {
			<-tg.drained
			return delivery.Attempt{}, errors.New("the target has gone")
		})
		if err := d.Add(tg); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := d.Remove(ctx, name); err != nil {
			t.Fatal(err)
		}
		page, err := s.Events(t.Context(), store.Query{Status: store.StatusPending}, 0, 10)
		if err != nil || len(page.Deliveries) != 5 {
			t.Fatalf("%d events wait, %v; want 5", len(page.Deliveries), err)
		}
		for _, e := range page.Deliveries {
			if e.Jobs[0].Attempts != 0 {
				t.Errorf("event %s was charged: %+v", e.Event.Key, e.Jobs[0])
			}
		}
		if err := d.Add(newTarget(name, done)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if page, err := s.Events(t.Context(), store.Query{Status: store.StatusDone}, 0, 10); err != nil || len(page.Deliveries) != 5 {
			t.Errorf("the successor has done %d, %v", len(page.Deliveries), err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestAWishDoesNotCloseATarget: an application that asks for a day, of every
// event, is tried again in minutes. The events wait for as long as it asked.
func TestAWishDoesNotCloseATarget(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		down := newTarget(name, func(context.Context, delivery.Task) (delivery.Attempt, error) {
			return delivery.Attempt{Outcome: delivery.OutcomeRetry, Unavailable: true, RetryAfter: 24 * time.Hour, Error: "503"}, nil
		})
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{down}, Schedule: delivery.Schedule{time.Minute}, Concurrency: 1})
		for i := range 10 {
			b.accept(fmt.Sprint(i))
		}
		synctest.Wait()
		got := statusOf(b.d, name)
		if wait := time.Until(got.NextProbe); got.UnavailableSince.IsZero() || wait < time.Minute || wait > 5*time.Minute {
			t.Errorf("unavailable since %v, the next probe is %v away, want 5m", got.UnavailableSince, wait)
		}
		if j, _ := job(t, s, "3"); time.Until(j.NextAt) < 23*time.Hour {
			t.Errorf("the event is due in %v, want a day", time.Until(j.NextAt))
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// doorbell is an outage of an app that can be asked whether it takes connections.
type doorbell struct {
	dispatch.Target
	app *outage

	asked int
}

func (d *doorbell) Reach(context.Context) error {
	d.app.mu.Lock()
	defer d.app.mu.Unlock()
	d.asked++
	if time.Now().Before(d.app.until) {
		return errors.New("connection refused")
	}
	return nil
}

// TestBackAfterThreeMinutes: whatever was tried in vain meanwhile arrives within ten
// seconds, however few or many events that are, and however long they would wait, but
// not all at once; what the target has asked to wait waits.
func TestBackAfterThreeMinutes(t *testing.T) {
	for _, events := range []int{3, 3000} {
		t.Run(fmt.Sprint(events), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *sqlite.DB) {
				app := &outage{until: time.Now().Add(3 * time.Minute), got: make(map[string][]int)}
				wished := 0
				bell := &doorbell{app: app, Target: newTarget("forward:app", func(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
					a, err := app.deliver(ctx, task)
					if task.Event.Entity == "wish" && a.Outcome == delivery.OutcomeRetry {
						wished++
						a.RetryAfter = time.Hour
					}
					return a, err
				})}
				d, err := dispatch.New(dispatch.Config{Store: s, Targets: []dispatch.Target{bell},
					Schedule: delivery.Schedule{5 * time.Second, 30 * time.Second, 10 * time.Minute, time.Hour}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- d.Run(ctx) }()
				add := func(key, entity string) {
					e := &delivery.Event{Key: key, Type: "call.hangup", PayloadLen: -1, ReceivedAt: time.Now(), Entity: entity}
					if _, err := s.Accept(t.Context(), e, []string{"forward:app"}); err != nil {
						t.Fatal(err)
					}
				}
				add("0", "wish")
				for i := range events {
					add(fmt.Sprint(i+1), "")
				}
				d.Wake([]string{"forward:app"})
				time.Sleep(time.Until(app.until))
				synctest.Wait()
				if wished == 0 {
					t.Error("the event with a wish was not tried")
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				app.mu.Lock()
				if got := len(app.got[""]); got != events {
					t.Errorf("%d of %d events arrived within ten seconds", got, events)
				}
				if got := len(app.got["wish"]); got != 0 {
					t.Error("the event arrived that the target has asked to wait")
				}
				if bell.asked < 60 || bell.asked > 95 {
					t.Errorf("asked %d times in three minutes, want every two seconds", bell.asked)
				}
				app.mu.Unlock()
				time.Sleep(2 * time.Hour)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if got := len(app.got["wish"]); got != 1 {
					t.Errorf("the event with a wish arrived %d times", got)
				}
			})
		})
	}
}

// TestConnectionsThatLeadNowhere: an app that takes connections and does nothing with
// them is not asked again, and one event has paid for it with an attempt.
func TestConnectionsThatLeadNowhere(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		app := &outage{until: time.Now().Add(time.Hour), got: make(map[string][]int)}
		open := &outage{until: time.Now().Add(time.Minute)}
		bell := &doorbell{app: open, Target: newTarget("forward:app", app.deliver)}
		d, err := dispatch.New(dispatch.Config{Store: s, Targets: []dispatch.Target{bell}, Schedule: delivery.Schedule{5 * time.Second, 2 * time.Hour, 2 * time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		for i := range 20 {
			e := &delivery.Event{Key: fmt.Sprint(i), Type: "call.hangup", PayloadLen: -1, ReceivedAt: time.Now()}
			if _, err := s.Accept(t.Context(), e, []string{"forward:app"}); err != nil {
				t.Fatal(err)
			}
		}
		d.Wake([]string{"forward:app"})
		time.Sleep(2 * time.Minute)
		time.Sleep(50 * time.Minute)
		app.mu.Lock()
		if all := app.tries; all > 2*20+1 {
			t.Errorf("%d attempts, want two for each event and one", all)
		}
		app.mu.Unlock()
		if bell.asked > 35 {
			t.Errorf("asked %d times", bell.asked)
		}
		time.Sleep(6 * time.Hour)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(app.got[""]) != 20 {
			t.Errorf("%d of 20 events arrived", len(app.got[""]))
		}
	})
}
