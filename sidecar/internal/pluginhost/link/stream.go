package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// BatchEvents is the most events in one frame.
const BatchEvents = 64

// batchBytes is the most bytes in one frame, except for a single larger event.
const batchBytes = 256 << 10

// stream is the carrier of plugins that implement Deliver. One goroutine sends
// frames and another receives them.
type stream struct {
	link *Link
	rpc  Frames

	wake    chan struct{} // has room for one: there is something to send
	credit  chan struct{} // closed by the first Credit
	drained chan struct{} // closed when the plugin said Drained
	idle    chan struct{} // has room for one: the last call was answered

	mu        sync.Mutex
	calls     map[uint64]*call // seq → event without result, abandoned ones included
	abandoned int              // how many of calls are
	nextSeq   uint64
	events    []*pluginpb.Event          // to be sent, oldest first
	control   []*pluginpb.DeliverRequest // to be sent before any event
	last      *pluginpb.DeliverRequest   // to be sent after all events
	pings     map[uint64]chan struct{}   // id → closed by the Pong
	nextPing  uint64
	stray     int
}

// Frames carries a stream: gRPC, or [Lines]. Send and Recv may be called
// at the same time.
type Frames interface {
	Send(*pluginpb.DeliverRequest) error
	Recv() (*pluginpb.DeliverResponse, error)
	CloseSend() error
}

// OpenStream returns a link to a plugin that implements Deliver, when it has
// granted its first Credit. The stream lives until the connection or the plugin
// closes it, and then ends the link.
func OpenStream(ctx context.Context, rpc Frames) (*Link, error) {
	l := newLink()
	s := &stream{
		link:    l,
		rpc:     rpc,
		wake:    make(chan struct{}, 1),
		credit:  make(chan struct{}),
		drained: make(chan struct{}),
		idle:    make(chan struct{}, 1),
		calls:   make(map[uint64]*call),
		pings:   make(map[uint64]chan struct{}),
	}
	l.carrier = s
	go s.sendFrames()
	go s.receiveFrames()
	select {
	case <-s.credit:
		return l, nil
	case <-l.done:
		return nil, l.cause
	case <-ctx.Done():
		err := errors.New("the plugin grants no credit")
		l.End(err)
		return nil, err
	}
}

func (s *stream) send(e *pluginpb.Event) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link.IsClosing() { // under the lock, so that Drain counts what passes
		return nil
	}
	s.nextSeq++
	e.Seq = s.nextSeq
	c := &call{seq: e.Seq, result: make(chan *pluginpb.Result, 1)}
	s.calls[c.seq] = c
	s.events = append(s.events, e)
	s.wakeSender()
	return c
}

func (s *stream) cancel(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	queued := func(e *pluginpb.Event) bool { return e.Seq == c.seq }
	if i := slices.IndexFunc(s.events, queued); i >= 0 {
		s.events = slices.Delete(s.events, i, i+1)
		s.forget(c, nil)
		return false
	}
	s.control = append(s.control, &pluginpb.DeliverRequest{
		Frame: &pluginpb.DeliverRequest_Cancel{Cancel: &pluginpb.Cancel{Seq: c.seq}},
	})
	s.wakeSender()
	return true
}

func (s *stream) abandon(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[c.seq] == c && !c.abandoned {
		c.abandoned = true
		s.abandoned++
	}
}

// forget removes a call, gives its place back, and only then hands over the
// result, if there is one: its receiver can rely on the place. The caller
// holds the lock.
func (s *stream) forget(c *call, res *pluginpb.Result) {
	delete(s.calls, c.seq)
	if c.abandoned {
		s.abandoned--
	}
	s.link.window.release()
	if res != nil {
		c.result <- res
	}
	if len(s.calls) == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

func (s *stream) Stuck() bool {
	limit, used := s.link.window.state()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.abandoned > 0 && s.abandoned == len(s.calls) && used >= limit
}

func (s *stream) Holding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.abandoned > 0
}

func (s *stream) Strays() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stray
}

func (s *stream) Ping(ctx context.Context) error {
	s.mu.Lock()
	s.nextPing++
	id := s.nextPing
	pong := make(chan struct{})
	s.pings[id] = pong
	s.control = append(s.control, &pluginpb.DeliverRequest{
		Frame: &pluginpb.DeliverRequest_Ping{Ping: &pluginpb.Ping{Id: id}},
	})
	s.wakeSender()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.pings, id)
		s.mu.Unlock()
	}()
	select {
	case <-pong:
		return nil
	case <-s.link.done:
		return s.link.cause
	case <-ctx.Done():
		return errors.New("no answer to a ping")
	}
}

// Drain waits for the results as long as ctx allows, and for the plugin's
// Drained for at most idle after the last of them: a plugin that has nothing
// to do and does not answer is hung.
func (s *stream) Drain(ctx context.Context, idle time.Duration) error {
	s.mu.Lock()
	s.last = &pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Drain{Drain: &pluginpb.Drain{}}}
	busy := len(s.calls)
	select {
	case <-s.idle: // from before
	default:
	}
	s.wakeSender()
	s.mu.Unlock()
	if busy > 0 {
		select {
		case <-s.idle:
		case <-s.drained:
		case <-s.link.done:
			return s.link.cause
		case <-ctx.Done():
			return errors.New("events were still unanswered at the end of the drain")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	select {
	case <-s.drained:
		return nil
	case <-s.link.done:
		select {
		case <-s.drained: // a program may end with it
			return nil
		default:
			return s.link.cause
		}
	case <-ctx.Done():
		return errors.New("no answer to the drain")
	}
}

func (s *stream) wakeSender() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sendFrames is the only caller of rpc.Send. It blocks in there while the
// plugin does not read; pings find that out.
func (s *stream) sendFrames() {
	for {
		select {
		case <-s.wake:
		case <-s.link.done:
			_ = s.rpc.CloseSend()
			return
		}
		for frame := s.nextFrame(); frame != nil; frame = s.nextFrame() {
			if s.rpc.Send(frame) != nil {
				return // receiveFrames gets the reason
			}
		}
	}
}

// nextFrame takes the next frame to send. A batch is whatever has queued up;
// nothing waits for it to fill.
func (s *stream) nextFrame() *pluginpb.DeliverRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.control) > 0 {
		frame := s.control[0]
		s.control = s.control[1:]
		return frame
	}
	if len(s.events) == 0 {
		frame := s.last
		s.last = nil
		return frame
	}
	n, size := 0, 0
	for n < len(s.events) && n < BatchEvents {
		size += proto.Size(s.events[n])
		if n > 0 && size > batchBytes {
			break
		}
		n++
	}
	batch := s.events[:n:n]
	if s.events = s.events[n:]; len(s.events) == 0 {
		s.events = nil // or its array would keep the bodies alive
	}
	return &pluginpb.DeliverRequest{
		Frame: &pluginpb.DeliverRequest_Events{Events: &pluginpb.EventBatch{Events: batch}},
	}
}

// receiveFrames is the only caller of rpc.Recv, and ends the link with the
// stream. All results that the plugin got out are in their calls by then.
func (s *stream) receiveFrames() {
	credited := sync.OnceFunc(func() { close(s.credit) })
	for {
		frame, err := s.rpc.Recv()
		if err != nil {
			s.link.End(fmt.Errorf("stream ended: %w", err))
			return
		}
		switch f := frame.Frame.(type) {
		case *pluginpb.DeliverResponse_Results:
			for _, res := range f.Results.GetResults() {
				s.receive(res)
			}
		case *pluginpb.DeliverResponse_Credit:
			s.link.window.resize(int(f.Credit.GetInFlight()))
			credited()
		case *pluginpb.DeliverResponse_Pong:
			s.mu.Lock()
			if pong, ok := s.pings[f.Pong.GetId()]; ok {
				delete(s.pings, f.Pong.GetId())
				close(pong)
			}
			s.mu.Unlock()
		case *pluginpb.DeliverResponse_Drained:
			select {
			case <-s.drained:
			default:
				close(s.drained)
			}
		}
	}
}

func (s *stream) receive(res *pluginpb.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.calls[res.GetSeq()]
	if !ok {
		s.stray++ // unknown, or a second answer
		return
	}
	if c.abandoned {
		s.stray++
	}
	s.forget(c, res)
}
