package pluginhost

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

const (
	// crashRetry is how soon an event comes again whose process died. The
	// event is hardly to blame: a process that dies takes all of its events
	// with it.
	crashRetry = 50 * time.Millisecond

	// suspectAlone is how many crashes in a row make an event go to the plugin
	// alone, so that the next crash is its own doing.
	suspectAlone = 2

	// suspectDead is how many make it a dead letter. Without that a poisonous
	// event would keep the plugin from all others.
	suspectDead = 3

	// suspectsMax bounds the memory for crashes. An event that is forgotten is
	// trusted again.
	suspectsMax = 10_000
)

// suspects counts, for each event, in how many attempts in a row the process
// died. Events are told apart by the ids of their deliveries, since the number
// of a job is given to another one when a store is restored or, in SQLite, when
// the job was the last and is removed. It is safe for concurrent use.
type suspects struct {
	mu      sync.Mutex
	crashes map[string]int // id of the delivery → crashes in a row
}

// crashed counts a crash and returns how many it makes. attempts is how many
// the event had before this one.
func (s *suspects) crashed(delivery string, attempts int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crashes == nil || len(s.crashes) >= suspectsMax {
		s.crashes = make(map[string]int)
	}
	if attempts == 0 {
		delete(s.crashes, delivery) // it began anew
	}
	s.crashes[delivery]++
	return s.crashes[delivery]
}

// of returns how many crashes in a row an event has.
func (s *suspects) of(delivery string, attempts int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if attempts == 0 {
		return 0 // it began anew
	}
	return s.crashes[delivery]
}

// cleared forgets the crashes of an event that got an answer, or is dead.
func (s *suspects) cleared(delivery string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.crashes, delivery)
}

// count returns how many events are suspected.
func (s *suspects) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.crashes)
}

// concludeLost completes the record of an event with which the process died,
// for the crashes-th time in a row.
func concludeLost(a *store.Attempt, cause error, crashes int) {
	a.FinishedAt = time.Now()
	a.ErrorCodes = []int{codeLost}
	if crashes >= suspectDead {
		a.Outcome = store.OutcomeDead
		a.Error = fmt.Sprintf("plugin_crashed: the plugin died with this event %d times in a row, the last time with nothing else to do: %v", crashes, cause)
		return
	}
	a.Outcome, a.RetryAfter = store.OutcomeLost, crashRetry
	a.Error = fmt.Sprintf("plugin died with the event: %v", cause)
}

// concludeStopped completes the record of an event that the host took away from
// the plugin: it was stopped, and did not finish in time.
func concludeStopped(a *store.Attempt, cause error) {
	a.FinishedAt = time.Now()
	a.Outcome, a.RetryAfter = store.OutcomeLost, crashRetry
	a.ErrorCodes = []int{codeLost}
	a.Error = fmt.Sprintf("plugin was stopped before it was done with the event: %v", cause)
}

// isolation lets a suspect be alone with the plugin. It is safe for concurrent
// use.
type isolation struct {
	mu      sync.Mutex
	out     int           // events that the plugin has
	alone   bool          // the one that it has is a suspect
	suspect int           // suspects that wait
	changed chan struct{} // closed and replaced when an event may go now
}

// enter waits until an event may go to the plugin: a suspect when nothing is
// out, others when no suspect is out or waits. It gives up when ctx or gone
// ends, and then returns false.
func (i *isolation) enter(ctx context.Context, gone <-chan struct{}, suspect bool) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if suspect {
		i.suspect++
		defer func() {
			i.suspect--
			i.wake()
		}()
	}
	for i.alone || suspect && i.out > 0 || !suspect && i.suspect > 0 {
		if i.changed == nil {
			i.changed = make(chan struct{})
		}
		changed := i.changed
		i.mu.Unlock()
		ok := true
		select {
		case <-changed:
		case <-gone:
			ok = false
		case <-ctx.Done():
			ok = false
		}
		i.mu.Lock()
		if !ok {
			return false
		}
	}
	i.out++
	i.alone = suspect
	return true
}

// leave says that the plugin does not have the event any more.
func (i *isolation) leave() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.out--
	i.alone = false
	i.wake()
}

func (i *isolation) wake() {
	if i.changed != nil {
		close(i.changed)
		i.changed = nil
	}
}
