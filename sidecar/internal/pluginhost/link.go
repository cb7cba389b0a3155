package pluginhost

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// link is the connection to one ready plugin process: a window of credit, and
// a carrier that takes events over. It ends once, with a reason, and is never
// used again.
type link struct {
	window window
	carrier

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

	// cancel tells the plugin that the result is hardly waited for any more.
	// It reports false if the event had not been sent yet, and never will be.
	cancel(c *call) bool

	// abandon says that nobody waits for the result any more.
	abandon(c *call)

	// ping checks that the plugin reads events.
	ping(ctx context.Context) error

	// drain tells the plugin that no events follow, and waits for the
	// results of those that it has.
	drain(ctx context.Context, idle time.Duration) error

	// stuck reports whether the plugin holds only events that nobody waits
	// for any more, and takes no others.
	stuck() bool

	// holding reports whether the plugin has, or may have, events that nobody
	// waits for any more.
	holding() bool

	// strays returns how many results came that nobody waited for.
	strays() int
}

// call is an event on its way.
type call struct {
	seq       uint64
	result    chan *pluginpb.Result // has room for the one result
	abandoned bool                  // guarded by the carrier
}

func newLink() *link {
	return &link{closing: make(chan struct{}), done: make(chan struct{})}
}

// close makes the link take no new events.
func (l *link) close() { l.closeOnce.Do(func() { close(l.closing) }) }

// end ends the link. Events without a result are lost.
func (l *link) end(cause error) {
	l.close()
	l.endOnce.Do(func() {
		l.cause = cause
		close(l.done)
	})
}

func (l *link) isClosing() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// errMoved means that the link takes no more events, and that this one was not
// sent.
var errMoved = errors.New("plugin process is going away")

// acquire waits for a place in the window.
func (l *link) acquire(ctx context.Context) error {
	if l.window.take() {
		if l.isClosing() {
			l.window.release()
			return errMoved
		}
		return nil
	}
	place := l.window.ask()
	var err error
	select {
	case <-place:
		if !l.isClosing() {
			return nil
		}
		err = errMoved
	case <-l.closing:
		err = errMoved
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.window.withdraw(place)
	return err
}

// ending says how an exchange ended.
type ending int

const (
	answered    ending = iota // there is a result
	timedOut                  // there may be a late result, within the grace
	interrupted               // likewise, but it was the caller who gave up
	lost                      // the process died with the event
	unsent                    // the caller gave up before the event was sent
	moved                     // the link was closing and did not take the event
)

// exchange sends an event, for which acquire has got a place, and waits for the
// result: for timeout, then, after a Cancel, for grace.
func (l *link) exchange(ctx context.Context, e *pluginpb.Event, timeout, grace time.Duration) (*pluginpb.Result, ending) {
	c := l.send(e)
	if c == nil {
		l.window.release()
		return nil, moved
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	how := timedOut
	select {
	case res := <-c.result:
		return res, answered
	case <-l.done:
		return l.lastWord(c)
	case <-timer.C:
	case <-ctx.Done():
		how = interrupted
	}
	if !l.cancel(c) { // still in the queue: the plugin does not read
		if how == interrupted {
			how = unsent
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
func (l *link) lastWord(c *call) (*pluginpb.Result, ending) {
	select {
	case res := <-c.result:
		return res, answered
	default:
		return nil, lost
	}
}
