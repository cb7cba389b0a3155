package pluginhost

import (
	"context"
	"sync"
)

const (
	// suspectAlone is how many crashes in a row make an event go to the plugin
	// alone, so that it must have caused the next one itself.
	suspectAlone = 2

	// suspectDead is how many make it a dead letter. Without that a poisonous
	// event would keep the plugin from all others.
	suspectDead = 3

	// suspectsMax bounds the memory of crashes. An event that is forgotten is
	// trusted again.
	suspectsMax = 10_000
)

// excusesMax bounds how often in a row a crash is not held against an event
// although it was there. Without it one event could keep the plugin down: a
// process that nobody has to blame for its end is started again for ever, until
// the plugin has failed. With the crashes that count it stays below
// timings.crashMax.
const excusesMax = 4

// suspect is an event with which a process died.
type suspect struct {
	crashes  int // in a row, which count
	excuses  int // in a row, which do not
	answered int // events that the plugin had answered before the first of them
}

// suspects counts, for each event, in how many attempts in a row the process
// died. Events are told apart by the ids of their deliveries, since the number
// of a job is given to another one when a store is restored or, in SQLite, when
// the job was the last and is removed. It is safe for concurrent use.
type suspects struct {
	mu       sync.Mutex
	events   map[string]*suspect // by the id of the delivery
	answered int                 // events that got an answer
}

// crashed counts a crash, or excuses it as long as it can be, and returns how
// many crashes count by now, 0 if this one does not. attempts is how many the
// event had before this one.
func (s *suspects) crashed(delivery string, attempts int, excusable bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events == nil {
		s.events = make(map[string]*suspect)
	}
	if attempts == 0 || s.events[delivery] == nil { // it begins, perhaps again
		for other := range s.events {
			if len(s.events) < suspectsMax {
				break
			}
			delete(s.events, other) // any: to forget all would free the guilty with the rest
		}
		s.events[delivery] = &suspect{answered: s.answered}
	}
	e := s.events[delivery]
	if excusable && e.excuses < excusesMax {
		e.excuses++
		return 0
	}
	e.crashes++
	return e.crashes
}

// of returns how many crashes in a row count against an event, and whether others
// were excused.
func (s *suspects) of(delivery string, attempts int) (crashes int, excused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.events[delivery]
	if e == nil || attempts == 0 { // it begins, perhaps again
		return 0, false
	}
	return e.crashes, e.excuses > 0
}

// cleared forgets the crashes of an event that got an answer.
func (s *suspects) cleared(delivery string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered++
	delete(s.events, delivery)
}

// convicted forgets the crashes of an event that is dead because of them. It
// reports whether the plugin has answered others between them, and so works.
func (s *suspects) convicted(delivery string) (works bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.events[delivery]
	delete(s.events, delivery)
	return e != nil && s.answered > e.answered
}

// count returns how many events are suspected.
func (s *suspects) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.crashes > 0 {
			n++
		}
	}
	return n
}

// isolation lets a suspect be alone with the plugin. It is safe for concurrent
// use.
type isolation struct {
	mu      sync.Mutex
	out     int           // events that the plugin has
	alone   bool          // its only event is a suspect
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
