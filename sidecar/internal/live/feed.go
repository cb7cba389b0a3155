// Package live shows viewers what the sidecar is doing, and keeps rejected
// requests for a short while. It is all in memory: what has to last is in the
// store.
//
// Viewers read at their own pace and miss messages if they are too slow. Nothing
// ever waits for them. Start with [NewFeed] and a [Rejects].
package live

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The kinds of a [Message].
const (
	Accepted  = "accepted"  // an event was stored and acknowledged
	Duplicate = "duplicate" // a known event was acknowledged again
	Rejected  = "rejected"  // a request was rejected
	Tried     = "attempt"   // an attempt ended; the job is done, or tried again
	Dead      = "dead"      // the last attempt ended: a dead letter
	Lost      = "lost"      // this viewer was too slow for some messages
	Stopping  = "stopping"  // the sidecar stops: nothing more follows
)

// Message is something that happened. Fields of its JSON are only ever added.
type Message struct {
	Kind       string    `json:"kind"`
	At         time.Time `json:"at"`
	ID         string    `json:"id"` // of the event, as sent; of a rejected request: r_…
	DeliveryID string    `json:"delivery_id,omitempty"`
	Type       string    `json:"type,omitempty"`

	// Of an event that was accepted or is a duplicate.
	KeyLabel string   `json:"key_label,omitempty"`
	Skew     float64  `json:"skew_seconds,omitempty"` // our clock minus the signer's
	Targets  []string `json:"targets,omitempty"`      // none: no target wants it

	// Of a rejected request.
	Reason     string `json:"reason,omitempty"` // a word, such as "bad_signature"
	RemoteAddr string `json:"remote_addr,omitempty"`
	Path       string `json:"path,omitempty"`

	// Of an attempt. Status is also the answer to a rejected request.
	Target   string     `json:"target,omitempty"`
	N        int        `json:"n,omitempty"`
	Duration float64    `json:"duration_seconds,omitempty"`
	Status   int        `json:"response_status,omitempty"` // 0: there was no answer
	Error    string     `json:"error,omitempty"`
	State    string     `json:"state,omitempty"` // of the job now: done, pending or dead
	NextAt   *time.Time `json:"next_at,omitempty"`

	Lost uint64 `json:"lost,omitempty"` // how many messages are missing here
}

// DefaultRing is how many messages a [Feed] remembers.
const DefaultRing = 4096

// Feed passes messages to viewers. It remembers the latest, so that a viewer
// whose connection broke can continue where it was. All methods are safe for
// concurrent use.
type Feed struct {
	run string // distinguishes the positions of this process from another's

	mu     sync.Mutex
	ring   []Message     // the message at position p is ring[p%len(ring)]
	next   uint64        // position of the next message, from 0
	wake   chan struct{} // closed when there is more; nil while nobody waits
	closed bool
}

// NewFeed returns a feed that remembers size messages.
func NewFeed(size int) *Feed {
	return &Feed{run: strings.ToLower(rand.Text()[:8]), ring: make([]Message, size)}
}

// Publish adds a message. It waits for nobody.
func (f *Feed) Publish(m Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.ring[f.next%uint64(len(f.ring))] = m
	f.next++
	f.rouse()
}

// Close ends the feed. Viewers get the remaining messages, and then io.EOF.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.rouse()
}

// rouse wakes the waiting viewers. The caller holds mu.
func (f *Feed) rouse() {
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// oldest returns the first remembered position. The caller holds mu.
func (f *Feed) oldest() uint64 {
	if size := uint64(len(f.ring)); f.next > size {
		return f.next - size
	}
	return 0
}

// Viewer reads a [Feed]. It is for one goroutine.
type Viewer struct {
	feed *Feed
	next uint64
}

// Watch returns a viewer of messages from now on.
func (f *Feed) Watch() *Viewer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &Viewer{feed: f, next: f.next}
}

// WatchSince returns a viewer that begins with the messages remembered since a
// time.
func (f *Feed) WatchSince(t time.Time) *Viewer {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := &Viewer{feed: f, next: f.next}
	for v.next > f.oldest() && !f.ring[(v.next-1)%uint64(len(f.ring))].At.Before(t) {
		v.next--
	}
	return v
}

// WatchAfter returns a viewer that continues after a position from
// [Viewer.Position]. A position from an earlier process means that process's
// end: the viewer begins with the first remembered message.
func (f *Feed) WatchAfter(position string) (*Viewer, error) {
	run, number, found := strings.Cut(position, "-")
	n, err := strconv.ParseUint(number, 10, 63)
	if !found || err != nil {
		return nil, fmt.Errorf("live: %q is not a position", position)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case run != f.run:
		n = 0
	case n > f.next:
		return nil, fmt.Errorf("live: position %q has not been reached", position)
	}
	return &Viewer{feed: f, next: n}, nil
}

// Position names the place after the message at offset i of the latest batch of
// n messages.
func (v *Viewer) Position(i, n int) string {
	return v.feed.run + "-" + strconv.FormatUint(v.next-uint64(n-1-i), 10)
}

// batch is the most that Next returns at once, so that it only holds the feed
// for moments.
const batch = 64

// Next waits for messages, and returns some, and how many before them were lost
// because they came faster than they were read. The error is that of ctx, or
// io.EOF when the feed has ended.
func (v *Viewer) Next(ctx context.Context) (messages []Message, lost uint64, err error) {
	for {
		messages, lost, wait := v.take()
		if wait == nil {
			if messages == nil {
				return nil, 0, io.EOF
			}
			return messages, lost, nil
		}
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-wait:
		}
	}
}

// take returns the messages there are, or else a channel to wait for. Neither:
// the end.
func (v *Viewer) take() (messages []Message, lost uint64, wait <-chan struct{}) {
	f := v.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if first := f.oldest(); v.next < first {
		lost, v.next = first-v.next, first
	}
	if v.next == f.next {
		if f.closed {
			return nil, 0, nil
		}
		if f.wake == nil {
			f.wake = make(chan struct{})
		}
		return nil, 0, f.wake
	}
	for v.next < f.next && len(messages) < batch {
		messages = append(messages, f.ring[v.next%uint64(len(f.ring))])
		v.next++
	}
	return messages, lost, nil
}
