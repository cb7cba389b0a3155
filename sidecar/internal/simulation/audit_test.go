package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// audit reads the whole store and has the model judge it. Nothing is under way that
// adds or removes events.
func (w *world) audit(when string, p *process) {
	db, ctx := p.shim.DB, context.Background()
	final := make(map[string]*store.Delivery)
	list, total, err := db.Deliveries(ctx, store.Filter{})
	if err != nil || total != len(list) {
		w.model.fail("%s: list %d of %d deliveries: %v", when, len(list), total, err)
		return
	}
	for i := range list {
		final[list[i].Event.DeliveryID] = &list[i]
	}
	var all []store.Delivery
	for before, pages := int64(0), 0; ; pages++ {
		page, err := db.Events(ctx, store.Query{}, before, 64)
		if err != nil {
			w.model.fail("%s: list events: %v", when, err)
			return
		}
		for _, d := range page.Deliveries {
			if before != 0 && d.Event.Seq >= before {
				w.model.fail("%s: event %d is on a page before %d", when, d.Event.Seq, before)
			}
			id := d.Event.DeliveryID
			whole := final[id]
			if seen := w.seen[id]; whole == nil && seen != nil && seen.Event.Duplicates == d.Event.Duplicates && slices.Equal(seen.Jobs, d.Jobs) {
				whole = seen // nothing has happened to it
			}
			if whole == nil {
				if whole, err = db.Delivery(ctx, id); err != nil {
					w.model.fail("%s: %s is listed, and cannot be read: %v", when, id, err)
					return
				}
			}
			w.seen[id] = whole
			all = append(all, *whole)
		}
		if before = page.Next; before == 0 {
			break
		}
	}
	for i := range all {
		delete(final, all[i].Event.DeliveryID)
	}
	if len(final) > 0 {
		w.model.fail("%s: %d deliveries are on no page of events", when, len(final))
	}
	w.model.judge(when, all)
	if err := w.count(ctx, when, p, all); err != nil {
		w.model.fail("%s: count: %v", when, err)
	}
	w.history.add("%s: %d events", when, len(all))
}

// judge compares what the store has with what it must and may have, and takes it over.
func (m *model) judge(when string, all []store.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]bool)
	keys := make(map[string]string)
	for i := range all {
		d := &all[i]
		id := d.Event.DeliveryID
		o := m.offers[id]
		switch {
		case o == nil:
			m.breach("%s: %s is stored, and was never offered", when, id)
			continue
		case o.known == gone:
			m.breach("%s: %s is stored, and was not, or not any more", when, id)
		case keys[d.Event.Key] != "":
			m.breach("%s: %s is stored as %s and as %s", when, d.Event.Key, keys[d.Event.Key], id)
		case !o.event.same(d.Event) || !d.Event.ReceivedAt.Equal(o.received):
			m.breach("%s: %s is another event", when, id)
		case d.Event.Duplicates < o.duplicates || d.Event.Duplicates > o.duplicates+o.more:
			m.breach("%s: %s has %d duplicates; %d are sure, %d possible", when, id, d.Event.Duplicates, o.duplicates, o.more)
		}
		o.more -= d.Event.Duplicates - o.duplicates
		o.duplicates = d.Event.Duplicates
		found[id], keys[d.Event.Key] = true, id
		m.exists(o, d.Event.Seq)
		m.judgeJobs(when, o, d)
	}
	for _, key := range m.keys {
		for _, o := range m.events[key].offers {
			if o.known == there && !found[o.id] && !m.removable(o) {
				m.breach("%s: %s is lost", when, o.id)
			}
			if !found[o.id] {
				o.known = gone
			}
		}
	}
}

// judgeJobs compares the jobs of an event. The caller holds mu.
func (m *model) judgeJobs(when string, o *offer, d *store.Delivery) {
	seen := make(map[string]bool)
	for i := range d.Jobs {
		sj := &d.Jobs[i]
		j := o.jobs[sj.Target]
		if j == nil || seen[sj.Target] {
			m.breach("%s: %s has a job for %s that it should not have", when, o.id, sj.Target)
			continue
		}
		seen[sj.Target] = true
		m.judgeJob(when, o, j, sj, d)
	}
	for name, j := range o.jobs {
		if !seen[name] && !j.optional {
			m.breach("%s: %s has no job for %s", when, o.id, name)
		}
	}
}

func (m *model) judgeJob(when string, o *offer, j *job, sj *delivery.Job, d *store.Delivery) {
	name := o.id + ">" + sj.Target
	last, lost := delivery.Attempt{}, 0
	urls := make(map[int]string)
	for _, a := range d.Attempts {
		if a.Target != sj.Target {
			continue
		}
		given, ok := m.answers[a.RequestURL]
		if !ok || given != (answer{o.id, sj.Target, a.N, a.Outcome, given.ahead, given.step}) {
			m.breach("%s: %s has attempt %d, %s %s; %+v was given", when, name, a.N, a.RequestURL, a.Outcome, given)
		}
		if urls[a.N] != "" || a.N < 1 || a.N > sj.Attempts {
			m.breach("%s: %s has attempt %d twice, or too many", when, name, a.N)
		}
		if sure := j.results[a.N]; sure != "" && sure != a.RequestURL {
			m.breach("%s: %s has %s as attempt %d; recorded was %s", when, name, a.RequestURL, a.N, sure)
		}
		if a.Outcome == delivery.OutcomeLost {
			lost++
		}
		if urls[a.N] = a.RequestURL; a.N == sj.Attempts {
			last = a
		}
	}
	quiet := j.sure && j.finishing == 0 && !j.optional
	switch {
	case len(urls) != sj.Attempts:
		m.breach("%s: %s counts %d attempts and has %d", when, name, sj.Attempts, len(urls))
	case sj.Attempts < j.attempts || sj.Attempts > j.answered:
		m.breach("%s: %s has %d attempts; %d were recorded, %d answered", when, name, sj.Attempts, j.attempts, j.answered)
	case sj.Round < j.round || sj.Round > j.rounds:
		m.breach("%s: %s is in round %d; it was in %d, and can be in %d", when, name, sj.Round, j.round, j.rounds)
	case quiet && sj.Round == j.round && sj.Attempts != j.attempts:
		m.breach("%s: %s has %d attempts, had %d", when, name, sj.Attempts, j.attempts)
	case quiet && sj.Round == j.round && sj.State != j.state && !(j.state == delivery.Dead && sj.State == delivery.Discarded && j.discards):
		m.breach("%s: %s is %s, was %s", when, name, sj.State, j.state)
	case quiet && sj.State == delivery.Pending && o.event.sent.Entity == "" && j.dueStep == m.steps && !j.due.IsZero() && sj.Round == j.round && !sj.NextAt.Equal(j.due):
		m.breach("%s: %s is due at %v, was at %v", when, name, sj.NextAt, j.due)
	case sj.Round == 0 && sj.Base != lost:
		m.breach("%s: of %s %d attempts do not count; %d were lost", when, name, sj.Base, lost)
	case !m.plausible(sj, last):
		m.breach("%s: %s is %s in round %d (was %s) after %d attempts (%d before), the last one %s", when, name, sj.State, sj.Round, sj.Was, sj.Attempts, sj.Base, last.Outcome)
	}
	if sj.Round != j.round || sj.Attempts != j.attempts {
		j.due = time.Time{}
	}
	j.optional, j.sure, j.state, j.attempts, j.round = false, true, sj.State, sj.Attempts, sj.Round
	j.results = urls
}

// plausible reports whether a job can be in its state after its last attempt.
func (m *model) plausible(j *delivery.Job, last delivery.Attempt) bool {
	waits := len(m.w.profile.schedule)
	fresh := j.Attempts == j.Base // in this round only attempts that do not count
	switch j.State {
	case delivery.Done:
		return last.Outcome == delivery.OutcomeDone
	case delivery.Dead, delivery.Discarded:
		return last.Outcome == delivery.OutcomeFailed || last.Outcome == delivery.OutcomeRetry && j.Attempts-j.Base > waits
	case delivery.Pending:
		if fresh {
			return j.Attempts == 0 || j.Round > 0 && j.Was != "" || last.Outcome == delivery.OutcomeLost
		}
		return last.Outcome == delivery.OutcomeRetry && j.Attempts-j.Base <= waits || last.Outcome == delivery.OutcomeLost
	}
	return false
}
