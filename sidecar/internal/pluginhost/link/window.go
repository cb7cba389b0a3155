package link

import (
	"slices"
	"sync"
)

// WindowMax caps the credit of a plugin, so that one which asks for everything
// does not make the host hold everything in memory.
const WindowMax = 1024

// window counts the events that a plugin has against its credit. Places are
// given in the order in which they were asked for. It is safe for concurrent
// use.
type window struct {
	mu      sync.Mutex
	limit   int             // of places: credit, cap and WindowMax, whichever is least
	cap     int             // the operator's; 0 for none
	credit  int             // the plugin's last Credit
	used    int             // events out
	waiting []chan struct{} // closed when its place is granted, oldest first
}

// take takes a place if one is free and nobody is waiting.
func (w *window) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) > 0 || w.used >= w.limit {
		return false
	}
	w.used++
	return true
}

// ask asks for a place. The channel is closed when it is granted.
func (w *window) ask() chan struct{} {
	place := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, place)
	w.grant()
	return place
}

// withdraw gives up a place that was asked for, whether or not it has been
// granted.
func (w *window) withdraw(place chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.waiting, place); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
		return
	}
	w.used--
	w.grant()
}

// release gives back a granted place.
func (w *window) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used--
	w.grant()
}

// resize sets the limit. Events that are out already stay out.
func (w *window) resize(limit int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.credit = limit
	w.adjust()
}

// capAt sets the operator's limit, whatever the plugin grants.
func (w *window) capAt(limit int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cap = limit
	w.adjust()
}

// adjust makes the limit follow. The caller holds the lock.
func (w *window) adjust() {
	w.limit = min(w.credit, WindowMax)
	if w.cap > 0 {
		w.limit = min(w.limit, w.cap)
	}
	w.grant()
}

// state returns the limit and how many places are taken.
func (w *window) state() (limit, used int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.limit, w.used
}

func (w *window) grant() {
	for w.used < w.limit && len(w.waiting) > 0 {
		w.used++
		close(w.waiting[0])
		w.waiting = w.waiting[1:]
	}
}
