package dispatch

import (
	"slices"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

const (
	// retryLost is how soon an attempt that does not count is repeated, with
	// jitter: an app takes about that long to start.
	retryLost = time.Second

	// longestCrash is how long after an attempt broke off a target's absence
	// is blamed on that. After it failures count again, as in any outage.
	longestCrash = 10 * time.Minute

	// patience is how long a suspect lets others go first at an available
	// target, and longestHeld at any. maxHeld is how many are held meanwhile.
	patience    = 30 * time.Second
	longestHeld = 5 * time.Minute
	maxHeld     = 16

	// soonDue is how far ahead a suspect looks for others to let go first: the
	// wait of an attempt that does not count.
	soonDue = 2 * retryLost

	// settle is how long the next suspect waits after an attempt broke off: a
	// dying target may still take connections.
	settle = 2 * time.Second

	// maxSuspects bounds the suspects remembered.
	maxSuspects = 4096
)

// suspects holds the jobs whose last attempt broke off without an answer. The
// target may have died of such an event, or of another that it had at the same
// time; nobody can tell. So:
//
//   - the attempt does not count, unless no other was under way: an event does
//     not use up its schedule because of a neighbour that kills the target;
//   - its job goes last and alone from then on, until it is answered. Alone it
//     counts, so what kills the target ends as a dead letter;
//   - attempts that find the target down, from then until the first answer, do
//     not count either: it is down because of the one that broke off.
//
// Only this process knows them: after a restart, or at another sidecar, an event
// that kills the target takes its neighbours with it once more, which costs them
// nothing.
type suspects struct {
	mu       sync.Mutex
	broke    map[string]int // guarded by mu: delivery id → how often in a row
	held     []heldTask     // guarded by mu: claimed, and waiting to go alone
	alone    string         // guarded by mu: delivery id of the one going alone, if any
	underWay int            // guarded by mu: attempts
	meetings int            // guarded by mu: how often an attempt began while another was under way
	brokeAt  time.Time      // guarded by mu: when the latest attempt broke off; zero after an answer
}

type heldTask struct {
	task  delivery.Task
	since time.Time
}

// hold keeps the tasks that are suspects, and returns the others.
func (s *suspects) hold(tasks []delivery.Task, now time.Time) (others []delivery.Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tasks {
		if s.broke[t.Event.DeliveryID] > 0 {
			s.held = append(s.held, heldTask{t, now})
		} else {
			others = append(others, t)
		}
	}
	return others
}

// release returns the held tasks, which the caller gives back.
func (s *suspects) release() (tasks []delivery.Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		tasks = append(tasks, h.task)
	}
	s.held = nil
	return tasks
}

// queue describes the suspects waiting to go alone.
type queue struct {
	alone   bool          // one is going now
	held    int           // wait for it
	overdue bool          // one of them has waited long enough
	settles time.Duration // until the next may go
}

// queue returns the state of the waiting suspects. wellSince is when the target
// became available, if it is.
func (s *suspects) queue(now, wellSince time.Time, well bool) queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := queue{alone: s.alone != "", held: len(s.held)}
	if !s.brokeAt.IsZero() {
		q.settles = max(0, settle-now.Sub(s.brokeAt))
	}
	if len(s.held) > 0 {
		since := s.held[0].since
		for _, h := range s.held {
			if h.since.Before(since) {
				since = h.since
			}
		}
		q.overdue = len(s.held) >= maxHeld || now.Sub(since) > longestHeld ||
			well && s.brokeAt.IsZero() && now.Sub(since) > patience && now.Sub(wellSince) > patience
	}
	return q
}

// next takes a held task to go alone: the first of those that broke off the
// fewest times.
func (s *suspects) next() []delivery.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := 0
	for i, h := range s.held {
		if s.broke[h.task.Event.DeliveryID] < s.broke[s.held[best].task.Event.DeliveryID] {
			best = i
		}
	}
	t := s.held[best].task
	s.held, s.alone = slices.Delete(s.held, best, best+1), t.Event.DeliveryID
	return []delivery.Task{t}
}

// company shows, at the end of an attempt, whether there were others meanwhile.
type company struct {
	met      bool // others were under way when it began
	meetings int
}

// begin counts an attempt that begins.
func (s *suspects) begin() company {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := company{met: s.underWay > 0}
	if s.underWay++; c.met {
		s.meetings++
	}
	c.meetings = s.meetings
	return c
}

// end counts an attempt that has ended, or was not made.
func (s *suspects) end(t delivery.Task, c company) (alone, hadCompany bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay--
	if alone = s.alone == t.Event.DeliveryID; alone {
		s.alone = ""
	}
	return alone, c.met || s.meetings != c.meetings
}

// judge decides whether an attempt counts, and remembers its event as a
// suspect, or no longer. It reports whether the target is away because an
// attempt broke off.
func (s *suspects) judge(t delivery.Task, a *delivery.Attempt, alone, hadCompany bool, jitter float64) (away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	crashed := !s.brokeAt.IsZero() && a.FinishedAt.Sub(s.brokeAt) < longestCrash
	lost := ""
	switch {
	case a.BrokeOff:
		if s.broke == nil {
			s.broke = make(map[string]int)
		}
		if len(s.broke) < maxSuspects || s.broke[t.Event.DeliveryID] > 0 {
			s.broke[t.Event.DeliveryID]++
		}
		s.brokeAt = a.FinishedAt
		switch {
		case alone:
		case hadCompany:
			lost = "other attempts were under way"
		case crashed:
			lost = "another attempt had broken off before"
		}
	case a.ResponseStatus != 0:
		delete(s.broke, t.Event.DeliveryID)
		if a.StartedAt.After(s.brokeAt) { // else it was answered before
			s.brokeAt = time.Time{}
		}
	case a.Unavailable && a.RequestHeader == nil && crashed:
		lost, away = "another attempt had broken off before", true
	}
	if lost != "" && a.Outcome == delivery.OutcomeRetry {
		a.Outcome = delivery.OutcomeLost
		a.RetryAfter = retryLost + time.Duration(jitter*float64(retryLost))
		a.Error += ": does not count, since " + lost
	}
	return away
}

// forget drops a job that is no longer pending.
func (s *suspects) forget(t delivery.Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.broke, t.Event.DeliveryID)
}
