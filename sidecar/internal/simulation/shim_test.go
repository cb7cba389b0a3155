package simulation

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// shim stands between the store and its users. It gives the calls of concurrent users
// each an instant of its own, and tells the model what was asked and what was promised.
// After the end of its process nobody hears of it.
//
// Claim and NextDue take no time: what happened while a loop goes round would wait for
// it, and of two such things the loop takes one by chance. So loops are woken one by one.
type shim struct {
	*sqlite.DB
	p       *process
	claimed sync.Map // targets that have claimed
}

func (s *shim) say(format string, args ...any) {
	if s.p.alive() {
		s.p.w.history.add(format, args...)
	}
}

// Accept is for the driver.
func (s *shim) Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error) {
	w := s.p.w
	o := w.model.offer(e, targets)
	got, err := s.DB.Accept(ctx, e, targets)
	if !s.p.alive() {
		return got, store.ErrClosed
	}
	w.model.accepted(o, got, err)
	w.delay("accept " + e.DeliveryID)
	switch {
	case err != nil:
		s.say("not accepted %s: %s", e.DeliveryID, brief(err))
	case got.Duplicate:
		s.say("duplicate %s of %s", e.DeliveryID, got.DeliveryID)
	default:
		s.say("accepted %s as %d", e.DeliveryID, got.Seq)
	}
	return got, err
}

func (s *shim) Claim(ctx context.Context, name string, now time.Time, limit int) ([]delivery.Task, error) {
	w := s.p.w
	if _, again := s.claimed.LoadOrStore(name, true); !again {
		w.delay("first claim " + name) // the loops start together
	}
	since := w.model.tick()
	began := time.Now()
	tasks, err := s.DB.Claim(ctx, name, now, limit)
	if time.Since(began) > 0 {
		w.delay("claimed " + name) // it waited for a commit, perhaps with others
	}
	if !s.p.alive() {
		return tasks, err
	}
	w.model.claimed(s.p, since, name, now, tasks)
	var list []string
	for _, t := range tasks {
		list = append(list, fmt.Sprintf("%s#%d", t.Event.DeliveryID, t.Job.Attempts+1))
	}
	if err != nil {
		s.say("cannot claim for %s: %s", name, brief(err))
	} else if len(list) > 0 {
		s.say("%s claims %s", name, strings.Join(list, " "))
	}
	return tasks, err
}

func (s *shim) Finish(ctx context.Context, a delivery.Attempt, state delivery.State, nextAt time.Time) error {
	w := s.p.w
	w.delay("finish " + a.RequestURL)
	// The dispatcher measures by a clock that cannot be set, and what it stores is
	// what the wall clock read then. In the bubble there is only one clock.
	ahead := w.model.finishing(a)
	a.StartedAt, a.FinishedAt = a.StartedAt.Add(ahead), a.FinishedAt.Add(ahead)
	if state == delivery.Pending {
		nextAt = nextAt.Add(ahead)
	}
	err := s.DB.Finish(ctx, a, state, nextAt)
	if !s.p.alive() {
		return store.ErrClosed
	}
	w.model.finished(a, state, nextAt, err)
	w.delay("finished " + a.RequestURL)
	if err != nil {
		s.say("not recorded %s: %s", a.RequestURL, brief(err))
	} else {
		s.say("recorded %s: %s", a.RequestURL, state)
	}
	return err
}

func (s *shim) Release(ctx context.Context, t delivery.Task) error {
	w := s.p.w
	w.delay(fmt.Sprint("release ", t.Event.DeliveryID, t.Job.Target))
	w.model.releasing(t)
	err := s.DB.Release(ctx, t)
	s.say("released %s>%s", t.Event.DeliveryID, t.Job.Target)
	return err
}

func (s *shim) SaveRoute(ctx context.Context, r store.Route) error {
	s.p.w.delay("route " + r.Target)
	err := s.DB.SaveRoute(ctx, r)
	s.p.w.delay("routed " + r.Target)
	return err
}

func (s *shim) Backlog(ctx context.Context) (map[string]int, error) {
	s.p.w.delay("backlog")
	return s.DB.Backlog(ctx)
}

func (s *shim) Replay(ctx context.Context, id string) (store.Replay, error) {
	s.p.w.delay("replay " + id)
	return s.DB.Replay(ctx, id)
}

func (s *shim) Replays(ctx context.Context, running bool) ([]store.Replay, error) {
	s.p.w.delay("replays")
	return s.DB.Replays(ctx, running)
}

func (s *shim) Reschedule(ctx context.Context, name string, now time.Time, schedule delivery.Schedule) (int, error) {
	s.p.w.delay("reschedule " + name) // a step of the clock wakes all loops
	n, err := s.DB.Reschedule(ctx, name, now, schedule)
	s.p.w.delay("rescheduled " + name)
	if n > 0 {
		s.say("rescheduled %d of %s", n, name)
	}
	return n, err
}

func (s *shim) Hurry(ctx context.Context, q store.Query, now time.Time, limit int) (int, []string, error) {
	s.p.w.delay("hurry " + q.Target)
	s.p.w.model.hurrying(q.Target)
	n, targets, err := s.DB.Hurry(ctx, q, now, limit)
	s.p.w.model.hurrying(q.Target)
	s.p.w.delay("hurried " + q.Target)
	if n > 0 {
		s.say("hurried %d of %s", n, q.Target)
	}
	return n, targets, err
}

func (s *shim) StepReplay(ctx context.Context, id string, limit int) (store.Replay, []string, error) {
	s.p.w.delay("step " + id)
	r, targets, err := s.DB.StepReplay(ctx, id, limit)
	s.p.w.delay("stepped " + id)
	if err != nil {
		s.say("no step of %s: %s", id, brief(err))
	} else {
		s.say("%s is %s: seen %d, queued %d", id, r.State, r.Seen, r.Queued)
	}
	return r, targets, err
}

func (s *shim) Prune(ctx context.Context, r store.Retention, limit int) (store.Pruned, error) {
	s.p.w.delay("prune")
	s.p.w.model.pruning(r)
	got, err := s.DB.Prune(ctx, r, limit)
	s.p.w.delay("pruned")
	if got.Events > 0 {
		s.say("removed %d", got.Events)
	}
	return got, err
}

func (s *shim) Excess(ctx context.Context, r store.Retention) (int64, error) {
	s.p.w.delay("excess")
	return s.DB.Excess(ctx, r)
}

// wake wakes the loops of targets one by one.
func (p *process) wake(targets []string) {
	for _, name := range targets {
		p.w.delay("wake " + name)
		p.dispatcher.Wake([]string{name})
	}
}

// brief is the beginning of an error.
func brief(err error) string {
	text := err.Error()
	return text[:min(len(text), 80)]
}
