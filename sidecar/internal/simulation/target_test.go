package simulation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// mood is how an app treats events, in shares of a hundred; what is left succeeds.
type mood struct {
	name                                                         string
	retry, fail, hang, slow, lost, breaks, unavailable, notReady uint64
}

var moods = []mood{
	{name: "well"},
	{name: "flaky", retry: 40, slow: 5},
	{name: "strict", retry: 10, fail: 30},
	{name: "slow", slow: 50, hang: 5},
	{name: "hung", hang: 80},
	{name: "down", unavailable: 100},
	{name: "busy", unavailable: 50, slow: 10},
	{name: "restless", lost: 20, notReady: 20},
}

var breaking = mood{name: "breaking", breaks: 30, unavailable: 10}

// app is the program behind a target. It outlives the process.
type app struct {
	w    *world
	name string

	mu      sync.Mutex
	mood    mood          // guarded by mu
	down    bool          // guarded by mu: not ready
	changed chan struct{} // guarded by mu: closed when that changes
}

func (a *app) set(m mood, down bool) {
	a.mu.Lock()
	a.mood = m
	a.mu.Unlock()
	a.turn(down)
}

// turn makes the app not ready, or ready again.
func (a *app) turn(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down != down {
		a.down = down
		close(a.changed)
		a.changed = make(chan struct{})
	}
}

func (a *app) state() (mood, bool, chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mood, a.down, a.changed
}

// target is an app as one process sees it. It implements dispatch.Intermittent.
type target struct {
	*app
	p       *process
	drained chan struct{}
	drain   sync.Once
}

func (t *target) Name() string       { return t.name }
func (t *target) Patterns() []string { return []string{"*"} }
func (t *target) Drain()             { t.drain.Do(func() { close(t.drained) }) }

func (t *target) Ready() (bool, <-chan struct{}) {
	_, down, changed := t.state()
	return !down, changed
}

// Deliver answers as the mood and the seed say, and tells the model.
func (t *target) Deliver(ctx context.Context, task delivery.Task) (delivery.Attempt, error) {
	mood, down, _ := t.state()
	if !t.p.alive() || down {
		return delivery.Attempt{}, delivery.ErrNotReady
	}
	w := t.w
	key := fmt.Sprintf("%s>%s#%d", task.Event.DeliveryID, t.name, task.Job.Attempts+1)
	dice := w.next(key)
	kind, a, took := mood.answer(dice, len(w.profile.schedule) > 0)
	took += time.Duration(dice >> 20 % 999_983)
	if kind == "down" {
		// It goes down with this event, untried, and comes up again.
		w.delay(key)
		t.turn(true)
		w.delay(key)
		t.say("not ready %s", key)
		t.turn(false)
		return delivery.Attempt{}, delivery.ErrNotReady
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
		w.delay(key)
		kind = "cancelled"
		a = delivery.Attempt{Outcome: delivery.OutcomeRetry, Error: kind}
	}
	if !t.p.alive() {
		return delivery.Attempt{}, delivery.ErrNotReady
	}
	a.RequestURL = fmt.Sprintf("%s/%d", key, t.p.life)
	w.model.answered(task, a, time.Duration(w.offset.Load()))
	w.answers.Add(1)
	t.say("%s %s", kind, key)
	return a, nil
}

func (t *target) say(format string, args ...any) {
	if t.p.alive() {
		t.w.history.add(format, args...)
	}
}

// answer chooses one.
func (m mood) answer(dice uint64, patient bool) (kind string, a delivery.Attempt, took time.Duration) {
	roll := dice % 100
	is := func(share uint64) bool {
		if roll < share {
			return true
		}
		roll -= share
		return false
	}
	quick := time.Duration(dice>>40%20) * time.Millisecond
	failed := delivery.Attempt{Outcome: delivery.OutcomeRetry, ResponseStatus: 500, Error: "a failure", RequestHeader: [][2]string{{"A", "b"}}}
	switch {
	case is(m.retry):
		if dice>>50%4 == 0 && patient {
			failed.RetryAfter = time.Duration(1+dice>>52%20) * time.Second
		}
		return "failed", failed, quick
	case is(m.fail):
		failed.Outcome = delivery.OutcomeFailed
		return "refused", failed, quick
	case is(m.hang):
		failed.ResponseStatus, failed.Cause, failed.Unavailable = 0, delivery.CauseTimeout, true
		return "timed out", failed, 30 * time.Second
	case is(m.lost):
		return "lost", delivery.Attempt{Outcome: delivery.OutcomeLost, RetryAfter: 50 * time.Millisecond, Error: "it ended"}, quick
	case is(m.breaks):
		return "broke off", delivery.Attempt{Outcome: delivery.OutcomeRetry, BrokeOff: true, Unavailable: true, Error: "it broke off"}, quick
	case is(m.unavailable):
		return "unavailable", delivery.Attempt{Outcome: delivery.OutcomeRetry, Unavailable: true, Error: "refused"}, quick
	case is(m.notReady):
		return "down", delivery.Attempt{}, 0
	}
	done := delivery.Attempt{Outcome: delivery.OutcomeDone, ResponseStatus: 200, ResponseBody: []byte("ok"), RequestHeader: [][2]string{{"A", "b"}}}
	if is(m.slow) {
		return "done slowly", done, time.Second + time.Duration(dice>>40%8000)*time.Millisecond
	}
	return "done", done, quick
}
