package simulation

import (
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// claimed judges the jobs that were handed out by a claim which began at a tick.
func (m *model) claimed(p *process, since int, target string, now time.Time, tasks []delivery.Task) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range tasks {
		o := m.offers[t.Event.DeliveryID]
		switch {
		case o == nil:
			m.breach("%s was never offered, and is claimed for %s", t.Event.DeliveryID, target)
			continue
		case o.known == gone:
			m.breach("%s is not stored, and is claimed for %s", o.id, target)
			continue
		case !o.event.same(t.Event) || !t.Event.ReceivedAt.Equal(o.received):
			m.breach("%s is claimed for %s, and is another event", o.id, target)
			continue
		}
		j := m.find(o.id, target)
		if j == nil {
			continue
		}
		m.exists(o, t.Event.Seq)
		m.judgeClaim(p, o, j, t, now)
		if o.event.sent.Entity != "" {
			m.judgeOrder(p, o, target, since)
		}
		if t.Job.Round > j.round {
			j.due = time.Time{}
		}
		j.optional, j.sure, j.state, j.attempts, j.round = false, true, delivery.Pending, t.Job.Attempts, t.Job.Round
		j.holder, j.trying = p.life, t.Job.Attempts+1
	}
}

// judgeClaim judges one job by itself. The caller holds mu.
func (m *model) judgeClaim(p *process, o *offer, j *job, t delivery.Task, now time.Time) {
	name := o.id + ">" + t.Job.Target
	quiet := j.sure && j.finishing == 0
	switch {
	case j.holder == p.life && j.finishing == 0:
		m.breach("%s is claimed twice", name)
	case t.Job.State != delivery.Pending:
		m.breach("%s is claimed, and is %s", name, t.Job.State)
	case t.Job.Attempts < j.attempts || t.Job.Attempts > j.answered:
		m.breach("%s is claimed after %d attempts: %d were recorded and %d answered", name, t.Job.Attempts, j.attempts, j.answered)
	case t.Job.Round < j.round || t.Job.Round > j.rounds:
		m.breach("%s is claimed in round %d: there were %d, and can be %d", name, t.Job.Round, j.round, j.rounds)
	case quiet && !j.optional && t.Job.Round == j.round && j.state != delivery.Pending:
		m.breach("%s is claimed, and was %s", name, j.state)
	case quiet && t.Job.Round == j.round && t.Job.Attempts != j.attempts:
		m.breach("%s is claimed after %d attempts: %d were recorded", name, t.Job.Attempts, j.attempts)
	case t.Job.NextAt.After(now):
		m.breach("%s is claimed %v before it is due", name, t.Job.NextAt.Sub(now))
	case quiet && t.Job.Round == j.round && j.dueStep == m.steps && now.Before(j.due):
		m.breach("%s is claimed %v before its retry is due", name, j.due.Sub(now))
	}
}

// judgeOrder judges a job among those of its entity: the first that was there when
// the claim began goes first, and alone. The caller holds mu.
func (m *model) judgeOrder(p *process, o *offer, target string, since int) {
	for _, other := range m.lanes[o.event.sent.Entity] {
		j := other.jobs[target]
		if other == o || other.known != there || j == nil || j.optional || !j.sure || j.finishing > 0 || j.state != delivery.Pending {
			continue
		}
		if j.holder == p.life {
			m.breach("%s is claimed for %s while %s of its entity is", o.id, target, other.id)
		}
		if other.since < since && other.before(o) {
			m.breach("%s is claimed for %s before %s of its entity", o.id, target, other.id)
		}
	}
}

// before reports whether an event goes before another of its entity.
func (o *offer) before(other *offer) bool {
	a, b := o.order(), other.order()
	return a.Before(b) || a.Equal(b) && o.seq < other.seq
}

func (o *offer) order() time.Time {
	if at := o.event.sent.OrderAt; !at.IsZero() {
		return at
	}
	return o.received
}
