package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// quiet ends all trouble, and requires that soon nothing waits any more, that
// everything agrees, and that an event then takes no time. At last the process is
// started again.
func (w *world) quiet() error {
	w.history.add("quiet")
	w.calm()
	w.process.keeper.Set(retention.Limits{})
	w.heal()
	w.process.calls.Wait()
	if !w.settles() {
		return nil
	}
	time.Sleep(time.Minute) // a pause of an unavailable target may not be over
	w.audit("quiet", w.process)
	w.probe("plain", "", false, false)
	w.probe("given back", "", true, false)
	w.probe("of one entity", "message:probe", false, false)
	if w.random.IntN(2) == 0 {
		w.probe("after a restart", "", false, true)
	}
	if w.profile.limits.Keep > 0 && w.random.IntN(2) == 0 {
		w.age()
	}
	if w.model.verdict() != "" {
		return nil
	}
	return w.restart()
}

// age waits until everything is old, and requires that it is removed. A clock that
// was set is doubted for as long as events are kept; and one that was ahead has left
// events behind which hold up others until they are old themselves.
func (w *world) age() {
	keep, wait := w.profile.limits.Keep, time.Duration(0)
	list := func() []store.Delivery {
		page, err := w.process.shim.Events(context.Background(), store.Query{}, 0, 10_000)
		if err != nil {
			w.model.fail("all is old: %v", err)
		}
		return page.Deliveries
	}
	for _, d := range list() {
		wait = max(wait, time.Until(d.Event.ReceivedAt))
	}
	w.process.keeper.Set(retention.Limits{Keep: keep})
	time.Sleep(wait + 2*keep + time.Minute)
	w.process.keeper.Set(retention.Limits{})
	time.Sleep(time.Second)
	w.audit("all is old", w.process)
	for _, d := range list() {
		if !slices.ContainsFunc(d.Jobs, func(j delivery.Job) bool { return j.State == delivery.Dead }) {
			w.model.fail("%s was received %v ago, and is not removed", d.Event.DeliveryID, w.now().Sub(d.Event.ReceivedAt))
		}
	}
}

// heal makes the apps well.
func (w *world) heal() {
	for _, a := range w.apps {
		a.set(moods[0], false)
		w.delay("heal")
	}
}

// settles reports whether in time nothing waits.
func (w *world) settles() bool {
	limit := 4 * time.Minute
	if w.profile.breaks {
		limit = 15 * time.Minute
	}
	for began := time.Now(); ; time.Sleep(time.Second) {
		backlog, err := w.process.shim.Backlog(context.Background())
		running, err2 := w.process.shim.Replays(context.Background(), true)
		waiting := len(running)
		for _, n := range backlog {
			waiting += n
		}
		switch {
		case err != nil || err2 != nil:
			w.model.fail("the backlog: %v, %v", err, err2)
			return false
		case waiting == 0:
			return true
		case time.Since(began) > limit:
			w.model.fail("after %v without trouble %v still wait, and %d replays run", limit, backlog, len(running))
			return false
		}
	}
}

// soon is enough for events that nothing holds up.
const soon = 1500 * time.Millisecond

// probe offers events to all targets, and requires that they are done soon.
func (w *world) probe(name, entity string, giveBack, restart bool) {
	var targets []string
	for _, a := range w.apps {
		targets = append(targets, a.name)
		if giveBack {
			a.set(mood{name: "away", notReady: 100}, false)
			w.delay("away")
		}
		if restart {
			a.set(moods[0], true)
			w.delay("away")
		}
	}
	var offered []string
	for range 3 {
		e := w.newEvent(entity)
		offered = append(offered, e.DeliveryID)
		w.give(context.Background(), func() {}, e, targets)
		time.Sleep(time.Microsecond) // so that the order is not left to chance
	}
	if giveBack {
		time.Sleep(100 * time.Millisecond)
	}
	if restart {
		time.Sleep(time.Second)
		if err := w.restart(); err != nil {
			w.model.fail("%v", err)
			return
		}
	}
	w.heal()
	time.Sleep(soon)
	w.model.prompt(name, offered)
}

// prompt judges the events of a probe.
func (m *model) prompt(name string, offered []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range offered {
		if m.offers[id].known != there {
			m.breach("probe %s: %s was not accepted", name, id)
		}
		for target, j := range m.offers[id].jobs {
			if j.state != delivery.Done {
				m.breach("probe %s: %s>%s is %s after %v", name, id, target, j.state, soon)
			}
		}
	}
}
