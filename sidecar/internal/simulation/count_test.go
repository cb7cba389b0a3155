package simulation

import (
	"context"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// tally counts the events of a store, which were read one by one.
type tally struct {
	status                          map[store.Status]int // events
	backlog                         map[string]int       // jobs, by target
	dead, rounds, delivered, failed int
}

func tallyOf(all []store.Delivery) tally {
	n := tally{status: make(map[store.Status]int), backlog: make(map[string]int)}
	for _, d := range all {
		has := make(map[store.Status]bool)
		for _, j := range d.Jobs {
			has[store.Status(j.State)] = true
			n.rounds += j.Round
			switch {
			case j.State == delivery.Pending:
				n.backlog[j.Target]++
				has[store.StatusRetrying] = has[store.StatusRetrying] || j.Attempts > j.Base
			case j.State == delivery.Dead:
				n.dead++
			}
		}
		has[store.StatusUnhandled] = len(d.Jobs) == 0
		for status, is := range has {
			if is {
				n.status[status]++
			}
		}
		switch {
		case d.Final() && d.Delivered():
			n.delivered++
		case d.Final():
			n.failed++
		}
	}
	return n
}

// count compares the lists and counts of the store with a tally of its own.
func (w *world) count(ctx context.Context, when string, p *process, all []store.Delivery) error {
	db, want := p.shim.DB, tallyOf(all)
	for _, status := range []store.Status{store.StatusPending, store.StatusRetrying, store.StatusDone, store.StatusDead, store.StatusDiscarded, store.StatusUnhandled} {
		got, err := db.PreviewReplay(ctx, store.Query{Status: status})
		if err != nil {
			return err
		}
		if got.Events != want.status[status] {
			w.model.fail("%s: %d events are listed as %s, not %d", when, got.Events, status, want.status[status])
		}
	}
	got, err := db.Backlog(ctx)
	if err != nil {
		return err
	}
	for _, a := range w.apps {
		if got[a.name] != want.backlog[a.name] {
			w.model.fail("%s: the backlog of %s is %d, not %d", when, a.name, got[a.name], want.backlog[a.name])
		}
	}
	groups, err := db.DeadGroups(ctx, store.Query{})
	if err != nil {
		return err
	}
	dead := 0
	for _, g := range groups {
		dead += g.Count
	}
	if dead != want.dead {
		w.model.fail("%s: %d dead letters are in groups, not %d", when, dead, want.dead)
	}
	for status, n := range map[string]int{"delivered": want.delivered, "failed": want.failed} {
		if _, got, err := db.Deliveries(ctx, store.Filter{Status: status, Limit: 1}); err != nil || got != n {
			w.model.fail("%s: %d deliveries are %s, not %d (%v)", when, got, status, n, err)
		}
	}
	return w.countMore(ctx, when, p, want)
}

// countMore compares the gauges, and the replays: each round was counted by one.
func (w *world) countMore(ctx context.Context, when string, p *process, want tally) error {
	stats, err := p.shim.DB.Stats(ctx)
	if err != nil {
		return err
	}
	if stats.Unhandled != want.status[store.StatusUnhandled] {
		w.model.fail("%s: %d events are unhandled, not %d", when, stats.Unhandled, want.status[store.StatusUnhandled])
	}
	waiting := 0
	for _, s := range stats.Jobs {
		if s.Status != store.StatusDead {
			waiting += s.Count
		}
	}
	for _, n := range want.backlog {
		waiting -= n
	}
	if waiting != 0 {
		w.model.fail("%s: the gauges count %d waiting jobs too many", when, waiting)
	}
	replays, err := p.shim.DB.Replays(ctx, false)
	if err != nil {
		return err
	}
	if len(replays) == 100 {
		return nil // earlier ones are not listed
	}
	queued := 0
	for _, r := range replays {
		queued += r.Queued
	}
	if queued < want.rounds {
		w.model.fail("%s: %d rounds have begun, and replays count %d", when, want.rounds, queued)
	}
	return nil
}
