package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// run takes so many steps and ends the history with a quiet point and a restart.
func (w *world) run(steps int) error {
	if err := w.start(); err != nil {
		return err
	}
	for n := 0; n < steps && w.model.verdict() == ""; n++ {
		if err := w.step(); err != nil {
			return err
		}
		w.delay("step")
	}
	if w.model.verdict() == "" {
		if err := w.quiet(); err != nil {
			return err
		}
	}
	w.calm()
	return w.process.end()
}

// step does one thing that the seed chooses.
func (w *world) step() error {
	r, p := w.random, &w.profile
	weights := []struct {
		weight int
		when   bool
		do     func() error
	}{
		{400, true, w.accept},
		{60, true, w.burst},
		{200, true, w.wait},
		{30, true, w.waitLong},
		{80, true, w.changeMood},
		{20, p.limits != (retention.Limits{}), w.changeLimits},
		{20, p.clock, w.setClock},
		{40, p.operators, w.replay},
		{8, p.operators, w.cancel},
		{15, p.operators, w.discard},
		{12, true, w.restart},
		{12, p.crashes, func() error { return w.kill(false) }},
		{15, p.crashes, func() error { return w.kill(true) }},
		{30, p.faults, w.fail},
		{10, p.full, w.fill},
		{30, p.faults || p.full, func() error { w.calm(); return nil }},
		{5, true, w.quiet},
	}
	all := 0
	for _, c := range weights {
		if c.when {
			all += c.weight
		}
	}
	roll := r.IntN(all)
	for _, c := range weights {
		if !c.when {
			continue
		}
		if roll -= c.weight; roll < 0 {
			return c.do()
		}
	}
	return nil
}

// accept offers an event, a new one or one of any age, and does not wait for it.
func (w *world) accept() error {
	e, targets := w.choose()
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if w.random.IntN(10) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.random.IntN(10_000_000)))
	}
	w.give(ctx, cancel, e, targets)
	time.Sleep(time.Duration(w.random.IntN(3_000_000)))
	return nil
}

func (w *world) give(ctx context.Context, cancel context.CancelFunc, e *delivery.Event, targets []string) {
	p := w.process
	p.calls.Go(func() {
		defer cancel()
		got, err := p.shim.Accept(ctx, e, targets)
		if err == nil && !got.Duplicate || errors.Is(err, context.DeadlineExceeded) { // as package accept does
			p.wake(targets)
		}
	})
}

// choose makes an event and its targets.
func (w *world) choose() (*delivery.Event, []string) {
	r := w.random
	keys := w.model.known()
	if len(keys) > 0 && r.Float64() < w.profile.duplicates {
		from := 0
		if r.IntN(2) == 0 {
			from = max(0, len(keys)-10)
		}
		e, targets := w.model.sent(keys[from+r.IntN(len(keys)-from)])
		return w.address(e), targets
	}
	entity := ""
	if w.profile.entities > 0 && r.IntN(3) > 0 {
		entity = fmt.Sprint("message:", r.IntN(w.profile.entities))
	}
	var targets []string
	for _, a := range w.apps {
		if r.IntN(2) == 0 {
			targets = append(targets, a.name)
		}
	}
	return w.newEvent(entity), targets
}

// newEvent makes an event that was not there before.
func (w *world) newEvent(entity string) *delivery.Event {
	r := w.random
	w.events++
	n := fmt.Sprint("k", w.events)
	body := make([]byte, 20+r.IntN(1500))
	if r.IntN(20) == 0 {
		body = make([]byte, 20_000)
	}
	for i := range body {
		body[i] = "0123456789abcdef"[(i*7+w.events)%16]
	}
	e := &delivery.Event{
		Key: "id:" + n, ID: n, Type: []string{"message.sent", "message.finalized", "call.hangup"}[r.IntN(3)],
		Method: "POST", Path: "/", Header: [][2]string{{"Content-Type", "application/json"}, {"N", n}},
		Body: body, PayloadLen: -1, Entity: entity,
	}
	if entity != "" && r.IntN(2) == 0 {
		e.OrderAt = w.now().Add(-time.Duration(r.IntN(60_000)) * time.Millisecond).Truncate(time.Microsecond)
	}
	return w.address(e)
}

// address makes a delivery of an event.
func (w *world) address(e *delivery.Event) *delivery.Event {
	own := *e
	own.ReceivedAt = w.now().Truncate(time.Microsecond)
	own.SignedAt = own.ReceivedAt
	own.DeliveryID = fmt.Sprint(e.ID, ".", w.model.tries(e.Key)+1)
	return &own
}

func (w *world) burst() error {
	for range 2 + w.random.IntN(12) {
		e, targets := w.choose()
		w.give(context.Background(), func() {}, e, targets)
		time.Sleep(time.Duration(w.random.IntN(200_000)))
	}
	return nil
}

func (w *world) wait() error {
	time.Sleep(time.Duration(w.random.IntN(1_000_000_000)))
	return nil
}

func (w *world) waitLong() error {
	time.Sleep(time.Duration(1+w.random.IntN(60)) * time.Second)
	return nil
}

func (w *world) changeMood() error {
	a := w.apps[w.random.IntN(len(w.apps))]
	m := moods[w.random.IntN(len(moods))]
	if w.profile.breaks && w.random.IntN(4) == 0 {
		m = breaking
	}
	paused := w.random.IntN(8) == 0
	a.set(m, paused)
	w.history.add("%s is %s, paused %v", a.name, m.name, paused)
	return nil
}

func (w *world) changeLimits() error {
	l := w.profile.limits
	if w.random.IntN(2) == 0 {
		l.MaxBytes = 0
	}
	w.process.keeper.Set(l)
	w.history.add("limits %v", l)
	return nil
}

// setClock sets the clock forward, or back to where it may have been.
func (w *world) setClock() error {
	offset := time.Duration(w.offset.Load())
	if w.random.IntN(2) == 0 {
		offset += []time.Duration{2 * time.Second, time.Minute, 30 * time.Minute}[w.random.IntN(3)]
	} else {
		offset = time.Duration(w.random.Float64() * float64(offset))
	}
	w.offset.Store(int64(offset))
	w.model.stepped()
	w.history.add("the clock is %v ahead", offset)
	return nil
}

// replay orders one of several replays.
func (w *world) replay() error {
	// The runner takes several in the order in which Go goes through a map.
	if running, err := w.process.shim.Replays(context.Background(), true); err != nil || len(running) > 0 {
		return nil
	}
	r := w.random
	q, targets := store.Query{}, []string(nil)
	switch keys := w.model.known(); {
	case r.IntN(3) == 0:
		q.Status = store.StatusDead
	case r.IntN(3) == 0:
		q.Types = []string{"message.*"}
		q.Status = store.StatusDone
		q.Target = w.apps[r.IntN(len(w.apps))].name
	case len(keys) > 0:
		e, _ := w.model.sent(keys[r.IntN(len(keys))])
		q.IDs = []string{e.ID}
		if r.IntN(2) == 0 {
			targets = []string{w.apps[r.IntN(len(w.apps))].name}
		}
	}
	order := store.Replay{ID: fmt.Sprint("replay", w.next("replay")%1_000_000), Query: q, Targets: targets, Rate: []float64{0, 0, 50}[r.IntN(3)]}
	w.model.replaying(q, targets)
	err := w.process.shim.CreateReplay(context.Background(), &order)
	w.delay("replay")
	w.process.runner.Poke()
	w.history.add("%s of %+v to %v: %v", order.ID, q, targets, err == nil)
	return nil
}

func (w *world) cancel() error {
	list, _ := w.process.shim.Replays(context.Background(), true)
	if len(list) > 0 {
		_, err := w.process.shim.CancelReplay(context.Background(), list[0].ID)
		w.history.add("cancelled %s: %v", list[0].ID, err == nil)
	}
	return nil
}

func (w *world) discard() error {
	q := store.Query{Target: w.apps[w.random.IntN(len(w.apps))].name}
	w.model.discarding(q.Target)
	n, err := w.process.shim.Discard(context.Background(), q)
	w.delay("discard")
	w.history.add("discarded %d of %s: %v", n, q.Target, err == nil)
	return nil
}

func (w *world) fail() error {
	w.faults.Store([]uint64{2_000, 20_000, 200_000}[w.random.IntN(3)])
	w.history.add("of a million writes and syncs %d fail", w.faults.Load())
	return nil
}

func (w *world) fill() error {
	w.full.Store(true)
	w.history.add("the disk is full")
	return nil
}

// known returns the keys of the events that were offered.
func (m *model) known() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys
}

// sent returns an event as it was offered first.
func (m *model) sent(key string) (*delivery.Event, []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ev := m.events[key]
	own := ev.sent
	return &own, ev.targets
}

// tries returns how often an event was offered.
func (m *model) tries(key string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ev := m.events[key]; ev != nil {
		return len(ev.offers)
	}
	return 0
}

// replaying is told of a replay that may begin.
func (m *model) replaying(q store.Query, targets []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.offers {
		if len(q.IDs) > 0 && !slices.Contains(q.IDs, o.event.sent.ID) {
			continue
		}
		for name, j := range o.jobs {
			if len(targets) > 0 && slices.Contains(targets, name) || len(targets) == 0 && (q.Target == "" || q.Target == name) {
				j.rounds++
			}
		}
		for _, name := range targets {
			if o.jobs[name] == nil {
				o.jobs[name] = &job{optional: true, sure: true, state: delivery.Pending, results: make(map[int]string)}
			}
		}
	}
}

// discarding is told that dead letters may be given up.
func (m *model) discarding(target string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.offers {
		if j := o.jobs[target]; j != nil {
			j.discards = true
		}
	}
}
