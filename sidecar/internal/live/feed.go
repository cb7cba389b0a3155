// Package live tells viewers what the sidecar does at this moment, and keeps
// rejected requests for a short while. It is all in memory: what has to last is
// in the store.
//
// Viewers read at their own pace and miss what they are too slow for. Nothing
// here ever waits for one of them. Start with [NewFeed] and [NewRejects].
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
	Duplicate = "duplicate" // so was one that had been there before
	Rejected  = "rejected"  // a request was not let in
	Tried     = "attempt"   // an attempt ended; the job is done, or tried again
	Dead      = "dead"      // an attempt ended, and was the last: a dead letter
	Lost      = "lost"      // this viewer was too slow for some messages
	Stopping  = "stopping"  // the sidecar stops: there is nothing more to come
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
	Targets  []string `json:"targets,omitempty"`      // none: nobody wants it

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

// Feed hands what happens to those who watch. It remembers the latest messages,
// so that a viewer whose connection broke can go on where it was. All methods
// are safe for concurrent use.
type Feed struct {
	run string // distinguishes the positions of this process from another's

	mu     sync.Mutex
	ring   []Message     // the message at position p is ring[p%len(ring)]
	next   uint64        // position of the message that comes next, from 0
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

// Close ends the feed. Viewers get what is left, and then io.EOF.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.rouse()
}

// rouse wakes whoever waits. The caller holds mu.
func (f *Feed) rouse() {
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// oldest returns the first position that is remembered. The caller holds mu.
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

// Watch returns a viewer of what comes from now on.
func (f *Feed) Watch() *Viewer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &Viewer{feed: f, next: f.next}
}

// WatchSince returns a viewer that begins with what is remembered since a time.
func (f *Feed) WatchSince(t time.Time) *Viewer {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := &Viewer{feed: f, next: f.next}
	for v.next > f.oldest() && !f.ring[(v.next-1)%uint64(len(f.ring))].At.Before(t) {
		v.next--
	}
	return v
}

// WatchAfter returns a viewer that goes on behind a position that
// [Viewer.Position] gave. One from a process before this is taken for its end:
// the viewer begins with the first message that is remembered.
func (f *Feed) WatchAfter(position string) (*Viewer, error) {
	run, number, found := strings.Cut(position, "-")
	n, err := strconv.ParseUint(number, 10, 63)
	if !found || err != nil {
		return nil, fmt.Errorf("live: %q is no position", position)
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

// Position names the place behind the message at offset i of the latest batch
// of n messages.
func (v *Viewer) Position(i, n int) string {
	return v.feed.run + "-" + strconv.FormatUint(v.next-uint64(n-1-i), 10)
}

// batch is the most that Next returns at once, so that it holds the feed only
// for moments.
const batch = 64

// Next waits until there are messages, and returns some, and how many before
// them were lost because they came faster than they were read. The error is
// that of ctx, or io.EOF when the feed has ended.
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

// take returns what there is, or else what to wait for. Neither: the end.
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
