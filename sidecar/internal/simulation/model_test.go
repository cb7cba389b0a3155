package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// model knows what was asked of the store and what was promised, and nothing of how
// the store works. What a failed or unanswered call has done it does not know: both
// are allowed until the store is read, and then it holds the store to that.
type model struct {
	w *world

	mu      sync.Mutex
	ticks   int               // guarded by mu, as all below
	broken  string            // the first promise that was
	events  map[string]*event // by key
	keys    []string          // of events, in the order in which they were offered
	offers  map[string]*offer // by id of the delivery
	lanes   map[string][]*offer
	answers map[string]answer // of targets, by URL
	steps   int               // of the clock
	removed store.Retention   // the most that was asked for
	hurried map[string]int    // how often a Hurry has begun or ended, by target
}

// event is what is sent under one key, once or often.
type event struct {
	sent    delivery.Event
	targets []string
	offers  []*offer
}

// presence is what is known of an offer.
type presence int

const (
	maybe presence = iota // the store may have it
	there                 // it has it
	gone                  // it does not, and will not
)

// offer is one accept of an event, which stores it unless another has.
type offer struct {
	id       string
	event    *event
	received time.Time
	known    presence
	since    int // the tick at which it was known to be there
	seq      int64
	jobs     map[string]*job

	duplicates, more int // counted for sure, and perhaps
}

// job is what is known of an event at a target.
type job struct {
	optional bool // only a replay may have made it
	sure     bool // state, attempts and round are as recorded
	state    delivery.State
	attempts int
	round    int
	due      time.Time // of a retry, if known
	dueStep  int       // of the clock
	wish     bool      // due was the target's wish
	hurried  int       // that of the model when its latest result was handed in
	results  map[int]string

	holder    int // the life of the process that has claimed it; 0: nobody
	trying    int // the attempt that it was claimed for
	finishing int // calls under way
	answered  int // the latest attempt that got an answer
	rounds    int // the most there can be
	discards  bool
}

// answer is that of a target.
type answer struct {
	id, target string
	n          int
	outcome    delivery.Outcome
	ahead      time.Duration // of the wall clock then
	step       int           // of the clock
}

func newModel(w *world) *model {
	return &model{w: w, events: make(map[string]*event), offers: make(map[string]*offer), lanes: make(map[string][]*offer), answers: make(map[string]answer), hurried: make(map[string]int)}
}

// breach records that a promise was broken. The caller holds mu.
func (m *model) breach(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	m.w.history.line(false, "BROKEN "+text)
	if m.broken == "" {
		m.broken = text
	}
}

// verdict returns the first broken promise, if any.
func (m *model) verdict() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken
}

func (m *model) fail(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.breach(format, args...)
}

// tick returns a moment: what was known before it has a smaller one.
func (m *model) tick() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ticks++
	return m.ticks
}

// stepped is told that the clock was set.
func (m *model) stepped() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps++
}

// begin is told of a new process: nobody holds a job.
func (m *model) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for target, n := range m.hurried {
		m.hurried[target] = n + n%2 // it has ended with its process
	}
	for _, o := range m.offers {
		for _, j := range o.jobs {
			if j.finishing > 0 || j.holder != 0 {
				j.sure = j.sure && j.finishing == 0
			}
			j.holder, j.finishing = 0, 0
		}
	}
}

// offer is told of an accept that begins.
func (m *model) offer(e *delivery.Event, targets []string) *offer {
	m.mu.Lock()
	defer m.mu.Unlock()
	ev := m.events[e.Key]
	if ev == nil {
		ev = &event{sent: *e, targets: targets}
		m.events[e.Key] = ev
		m.keys = append(m.keys, e.Key)
	}
	o := &offer{id: e.DeliveryID, event: ev, received: e.ReceivedAt.Truncate(time.Microsecond), jobs: make(map[string]*job)}
	for _, name := range ev.targets {
		o.jobs[name] = &job{sure: true, state: delivery.Pending, results: make(map[int]string)}
	}
	for _, other := range ev.offers {
		other.more++
	}
	ev.offers = append(ev.offers, o)
	m.offers[o.id] = o
	if e.Entity != "" {
		m.lanes[e.Entity] = append(m.lanes[e.Entity], o)
	}
	return o
}

// accepted is told how an accept ended.
func (m *model) accepted(o *offer, got store.Accepted, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		return
	}
	stored := o
	if got.Duplicate {
		stored = m.offers[got.DeliveryID]
		if stored == nil || stored.event != o.event || stored == o || stored.known == gone {
			m.breach("%s is a duplicate of %s, which is not there", o.id, got.DeliveryID)
			return
		}
		o.known = gone
		stored.duplicates++
		stored.more--
	} else if got.DeliveryID != o.id {
		m.breach("%s was stored as %s", o.id, got.DeliveryID)
	}
	for _, other := range o.event.offers {
		if other == stored || other == o {
			continue
		}
		if other.known == there && !m.removable(other) {
			m.breach("%s is stored as %s and as %s", o.event.sent.Key, other.id, stored.id)
		}
		if other.known == there || !got.Duplicate {
			other.known = gone
		}
	}
	m.exists(stored, got.Seq)
}

// exists is told that an offer is stored. The caller holds mu.
func (m *model) exists(o *offer, seq int64) {
	if o.known != there {
		m.ticks++
		o.known, o.since, o.seq = there, m.ticks, seq
	}
	if o.seq != seq {
		m.breach("%s has number %d, had %d", o.id, seq, o.seq)
	}
}

// removable reports whether retention may have removed an offer. The caller holds mu.
func (m *model) removable(o *offer) bool {
	dead := false
	for _, j := range o.jobs {
		if j.optional || !j.sure || j.finishing > 0 {
			continue
		}
		switch {
		case j.state == delivery.Pending:
			return false
		case j.state == delivery.Dead && !j.discards:
			dead = true
		}
	}
	if dead {
		return o.received.Before(m.removed.DeadBefore)
	}
	return m.removed.MaxBytes > 0 || o.received.Before(m.removed.Before)
}

// pruning is told what may be removed from now on.
func (m *model) pruning(r store.Retention) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Before.After(m.removed.Before) {
		m.removed.Before = r.Before
	}
	if r.DeadBefore.After(m.removed.DeadBefore) {
		m.removed.DeadBefore = r.DeadBefore
	}
	m.removed.MaxBytes = max(m.removed.MaxBytes, r.MaxBytes)
}

// find returns the job of an attempt or a task. The caller holds mu.
func (m *model) find(id, target string) *job {
	o := m.offers[id]
	if o == nil {
		m.breach("there is no %s", id)
		return nil
	}
	j := o.jobs[target]
	if j == nil {
		m.breach("%s does not go to %s", id, target)
	}
	return j
}

// answered is told what a target has answered, and how far ahead the wall clock was.
func (m *model) answered(t delivery.Task, a delivery.Attempt, ahead time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.find(t.Event.DeliveryID, t.Job.Target)
	if j == nil {
		return
	}
	if j.holder == 0 {
		m.breach("%s was delivered to %s, which had not claimed it", t.Event.DeliveryID, t.Job.Target)
	}
	n := t.Job.Attempts + 1
	j.answered = max(j.answered, n)
	m.answers[a.RequestURL] = answer{t.Event.DeliveryID, t.Job.Target, n, a.Outcome, ahead, m.steps}
}

// finishing is told of a result that is about to be recorded, and returns how far
// ahead the wall clock was.
func (m *model) finishing(a delivery.Attempt) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.find(a.DeliveryID, a.Target)
	if j == nil {
		return 0
	}
	j.finishing++
	j.hurried = m.hurried[a.Target]
	was, ok := m.answers[a.RequestURL]
	if lost := was.outcome == delivery.OutcomeRetry && a.Outcome == delivery.OutcomeLost; !ok || a.N != was.n || a.Outcome != was.outcome && !lost {
		m.breach("%s is about to be recorded as %s, attempt %d; it was %+v", a.RequestURL, a.Outcome, a.N, was)
	}
	was.outcome = a.Outcome
	m.answers[a.RequestURL] = was
	return was.ahead
}

// finished is told whether it was.
func (m *model) finished(a delivery.Attempt, state delivery.State, nextAt time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.find(a.DeliveryID, a.Target)
	if j == nil {
		return
	}
	j.finishing--
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrStale):
		if j.sure {
			m.breach("the result %s was refused: %v", a.RequestURL, err)
		}
		j.holder = 0
		return
	case err != nil:
		j.sure = false
		return
	}
	j.results[a.N] = a.RequestURL
	if j.trying > a.N || j.attempts > a.N {
		return // it has been claimed again since
	}
	j.sure, j.state, j.attempts, j.holder = true, state, a.N, 0
	j.due, j.dueStep, j.wish = time.Time{}, m.answers[a.RequestURL].step, a.RetryAfter > 0
	unhurried := j.wish || j.hurried == m.hurried[a.Target] && j.hurried%2 == 0
	if state == delivery.Pending && a.Outcome == delivery.OutcomeRetry && unhurried {
		j.due = nextAt.Truncate(time.Microsecond)
	}
}

// hurrying is told that what a target has missed is brought forward, before and after
// that: it may be due at any time then, but for what the target has wished.
func (m *model) hurrying(target string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hurried[target]++
	for _, o := range m.offers {
		if j := o.jobs[target]; j != nil && !j.wish {
			j.due = time.Time{}
		}
	}
}

// releasing is told that a job is given back.
func (m *model) releasing(t delivery.Task) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.find(t.Event.DeliveryID, t.Job.Target); j != nil {
		j.holder = 0
	}
}

// same reports whether an event is what was sent.
func (ev *event) same(e *delivery.Event) bool {
	s := &ev.sent
	return e.Key == s.Key && e.ID == s.ID && e.Type == s.Type && e.Entity == s.Entity && e.Method == s.Method && e.Path == s.Path &&
		e.OrderAt.Equal(s.OrderAt) && bytes.Equal(e.Body, s.Body) && fmt.Sprint(e.Header) == fmt.Sprint(s.Header)
}
