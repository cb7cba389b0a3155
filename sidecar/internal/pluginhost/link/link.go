// Package link takes events to a plugin that is ready, and brings the results
// back.
//
// A [Link] is the connection to one process: a window of credit, and a carrier
// that moves events, of which there are two: a stream of frames ([OpenStream]),
// over gRPC or as [Lines] over pipes, and one call for each event
// ([OpenUnary]). [Link.Deliver] is the whole way of an event: it sends it, waits
// for the result, and returns the record of the attempt.
//
// It starts no process and never sends an event twice: when a link ends, what
// it had is lost, and the caller, which keeps the plugin running, decides what follows.
package link

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// Link is the connection to one ready plugin process. It ends once, with a
// reason, and is never used again. It is safe for concurrent use.
type Link struct {
	carrier
	window window

	closing chan struct{} // closed when no new events are taken, for a drain
	done    chan struct{} // closed when the link has ended
	cause   error         // why; valid once done is closed

	closeOnce, endOnce sync.Once
}

// carrier moves events to the plugin and results back, in one of the two ways
// of the protocol.
type carrier interface {
	// send hands over an event for which there is a place in the window. The
	// carrier gives the place back when the result is there. It returns nil,
	// and has done nothing, when the link is closing.
	send(e *pluginpb.Event) *call

	// cancel tells the plugin that its result will soon not be waited for.
	// It reports false if the event had not been sent yet, and never will be.
	cancel(c *call) bool

	// abandon says that nobody waits for the result any more.
	abandon(c *call)

	// Ping checks that the plugin reads events.
	Ping(ctx context.Context) error

	// Drain tells the plugin that no events follow, and waits for the
	// results of those that it has.
	Drain(ctx context.Context, idle time.Duration) error

	// Stuck reports whether the plugin holds only events that nobody waits
	// for any more, and takes no others.
	Stuck() bool

	// Holding reports whether the plugin has, or may have, events that nobody
	// waits for any more.
	Holding() bool

	// Strays returns how many results came that nobody waited for.
	Strays() int
}

// call is an event under way.
type call struct {
	seq       uint64
	result    chan *pluginpb.Result // has room for the one result
	abandoned bool                  // guarded by the carrier
}

func newLink() *Link {
	return &Link{closing: make(chan struct{}), done: make(chan struct{})}
}

// Close makes the link take no new events.
func (l *Link) Close() { l.closeOnce.Do(func() { close(l.closing) }) }

// Closing returns a channel that is closed when the link takes no new events.
func (l *Link) Closing() <-chan struct{} { return l.closing }

// End ends the link. Events without a result are lost.
func (l *Link) End(cause error) {
	l.Close()
	l.endOnce.Do(func() {
		l.cause = cause
		close(l.done)
	})
}

// Done returns a channel that is closed when the link has ended.
func (l *Link) Done() <-chan struct{} { return l.done }

// Cause returns why the link has ended. It is valid once Done is closed.
func (l *Link) Cause() error { return l.cause }

// IsClosing reports whether the link takes no new events.
func (l *Link) IsClosing() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// Credit returns how many events the plugin may have, and how many it has.
func (l *Link) Credit() (limit, inFlight int) { return l.window.state() }

// Cap bounds the credit, whatever the plugin grants.
func (l *Link) Cap(limit int) { l.window.capAt(limit) }

// ErrMoved means that the link takes no more events, and that this one was not
// sent.
var ErrMoved = errors.New("plugin process is going away")

// Acquire waits for a place in the window.
func (l *Link) Acquire(ctx context.Context) error {
	if l.window.take() {
		if l.IsClosing() {
			l.window.release()
			return ErrMoved
		}
		return nil
	}
	place := l.window.ask()
	var err error
	select {
	case <-place:
		if !l.IsClosing() {
			return nil
		}
		err = ErrMoved
	case <-l.closing:
		err = ErrMoved
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.window.withdraw(place)
	return err
}

// Release gives back a place that Acquire has got, if no event is sent after
// all.
func (l *Link) Release() { l.window.release() }

// Ending is how the exchange of an event and its result ended.
type Ending int

// The ways in which an exchange ends.
const (
	Answered    Ending = iota // there is a result
	TimedOut                  // there may be a late result, within the grace
	Interrupted               // likewise, but the caller gave up
	Lost                      // the process died with the event
	Unsent                    // the caller gave up before the event was sent
	Moved                     // the link was closing and did not take the event
)

// exchange sends an event, for which Acquire has got a place, and waits for the
// result: for timeout, then, after a Cancel, for grace.
func (l *Link) exchange(ctx context.Context, e *pluginpb.Event, timeout, grace time.Duration) (*pluginpb.Result, Ending) {
	c := l.send(e)
	if c == nil {
		l.window.release()
		return nil, Moved
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	how := TimedOut
	select {
	case res := <-c.result:
		return res, Answered
	case <-l.done:
		return l.lastWord(c)
	case <-timer.C:
	case <-ctx.Done():
		how = Interrupted
	}
	if !l.cancel(c) { // still in the queue: the plugin does not read
		if how == Interrupted {
			how = Unsent
		}
		return nil, how
	}
	timer.Reset(grace)
	select {
	case res := <-c.result:
		return res, how
	case <-l.done:
		return l.lastWord(c)
	case <-timer.C:
		l.abandon(c)
		return nil, how
	}
}

// lastWord returns the result that arrived just before the link ended, if any.
func (l *Link) lastWord(c *call) (*pluginpb.Result, Ending) {
	select {
	case res := <-c.result:
		return res, Answered
	default:
		return nil, Lost
	}
}
