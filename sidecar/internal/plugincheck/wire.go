package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// sender sends events to a plugin and waits for their results.
type sender interface {
	// send returns the results by seq, without those that did not come.
	send(within time.Duration, events ...*pluginpb.Event) (map[uint64]*pluginpb.Result, error)
	// start sends events without waiting.
	start(events ...*pluginpb.Event) error
	// capacity returns how many events may be sent at once.
	capacity() int
	close()
}

// wire is a plugin's stream, without the protections of a host.
type wire struct {
	rpc    link.Frames
	cancel context.CancelFunc
	frames chan *pluginpb.DeliverResponse // closed at the end of the stream
	err    error                          // why; valid once frames is closed
	credit int
	limit  int                           // on the credit
	judge  func(*pluginpb.Result) string // says what is wrong with a result
	report func(what string)             // reports a broken rule
	known  map[uint64]bool               // seq → whether its result is still to come
}

// newWire opens a stream and starts to read from it. There is room for all results
// that may arrive while events are being sent and nobody reads.
func newWire(ctx context.Context, open func(context.Context) (link.Frames, error), report func(string)) (*wire, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &wire{cancel: cancel, frames: make(chan *pluginpb.DeliverResponse, 2*link.WindowMax), limit: link.WindowMax,
		judge: noOutcome, report: report, known: make(map[uint64]bool)}
	var err error
	if w.rpc, err = open(ctx); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer close(w.frames)
		for {
			frame, err := w.rpc.Recv()
			if err != nil {
				w.err = err
				return
			}
			select {
			case w.frames <- frame:
			case <-ctx.Done(): // the stream is about to end
			}
		}
	}()
	return w, nil
}

func noOutcome(r *pluginpb.Result) string {
	if r.GetOutcome() == nil {
		return "a result without an outcome, which counts as a retry"
	}
	return ""
}

// begin waits for the first frame, which must be a credit above 0.
func (w *wire) begin(within time.Duration) error {
	first := true
	return w.until(within, func(f *pluginpb.DeliverResponse) (bool, error) {
		if !first || f.GetCredit() == nil {
			return false, fmt.Errorf("its first frame is %T", f.GetFrame())
		}
		first = false
		return f.GetCredit().GetInFlight() > 0, nil
	})
}

var errNoFrame = errors.New("nothing came")

// until reads and records frames until each returns true or an error.
func (w *wire) until(within time.Duration, each func(*pluginpb.DeliverResponse) (bool, error)) error {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case f, ok := <-w.frames:
			if !ok {
				return fmt.Errorf("the stream has ended: %w", w.err)
			}
			if c := f.GetCredit(); c != nil {
				w.credit = int(c.GetInFlight())
			}
			for _, r := range f.GetResults().GetResults() {
				if waiting, known := w.known[r.GetSeq()]; !known {
					w.report(fmt.Sprintf("a result for seq %d, which was never sent", r.GetSeq()))
				} else if !waiting {
					w.report(fmt.Sprintf("a second result for seq %d", r.GetSeq()))
				}
				if what := w.judge(r); what != "" {
					w.report(what)
				}
				w.known[r.GetSeq()] = false
			}
			if done, err := each(f); done || err != nil {
				return err
			}
		case <-timer.C:
			return fmt.Errorf("%w within %v", errNoFrame, within)
		}
	}
}

// awaits reports whether an event has no result yet.
func (w *wire) awaits() bool {
	for _, awaited := range w.known {
		if awaited {
			return true
		}
	}
	return false
}

func (w *wire) capacity() int { return min(w.credit, w.limit) }

func (w *wire) start(events ...*pluginpb.Event) error {
	for len(events) > 0 {
		n := min(len(events), link.BatchEvents)
		for _, e := range events[:n] {
			w.known[e.GetSeq()] = true
		}
		err := w.rpc.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Events{Events: &pluginpb.EventBatch{Events: events[:n]}}})
		if err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func (w *wire) send(within time.Duration, events ...*pluginpb.Event) (map[uint64]*pluginpb.Result, error) {
	if err := w.start(events...); err != nil {
		return nil, err
	}
	return w.results(within, events...)
}

// results waits for the results of events that have been sent.
func (w *wire) results(within time.Duration, events ...*pluginpb.Event) (map[uint64]*pluginpb.Result, error) {
	got := make(map[uint64]*pluginpb.Result)
	missing := make(map[uint64]bool)
	for _, e := range events {
		missing[e.GetSeq()] = true
	}
	if len(missing) == 0 {
		return got, nil
	}
	err := w.until(within, func(f *pluginpb.DeliverResponse) (bool, error) {
		for _, r := range f.GetResults().GetResults() {
			got[r.GetSeq()] = r
			delete(missing, r.GetSeq())
		}
		return len(missing) == 0, nil
	})
	if errors.Is(err, errNoFrame) {
		err = fmt.Errorf("%d of %d results within %v", len(events)-len(missing), len(events), within)
	}
	return got, err
}

// pong sends a ping and waits for the answer.
func (w *wire) pong(id uint64) error {
	err := w.rpc.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Ping{Ping: &pluginpb.Ping{Id: id}}})
	if err != nil {
		return err
	}
	err = w.until(verifyPing, func(f *pluginpb.DeliverResponse) (bool, error) {
		if p := f.GetPong(); p != nil && p.GetId() != id {
			return false, fmt.Errorf("it sent a Pong with id %d, not %d", p.GetId(), id)
		}
		return f.GetPong() != nil, nil
	})
	if errors.Is(err, errNoFrame) {
		err = fmt.Errorf("no Pong within %v", verifyPing)
	}
	return err
}

// close waits for the reader. The process or the connection must have ended.
func (w *wire) close() {
	w.cancel()
	for range w.frames { // until the reader has gone
	}
}

// calls sends events to a plugin of the minimal profile.
type calls struct {
	client pluginpb.PluginServiceClient
	limit  int
	report func(what string)
	ctx    context.Context
	cancel context.CancelFunc
	begun  sync.WaitGroup
}

func newCalls(ctx context.Context, client pluginpb.PluginServiceClient, limit int, report func(string)) *calls {
	c := &calls{client: client, limit: max(limit, 1), report: report}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

func (c *calls) capacity() int { return c.limit }

func (c *calls) start(events ...*pluginpb.Event) error {
	for _, e := range events {
		c.begun.Go(func() { _, _ = c.client.Handle(c.ctx, &pluginpb.HandleRequest{Event: e}) })
	}
	return nil
}

func (c *calls) send(within time.Duration, events ...*pluginpb.Event) (map[uint64]*pluginpb.Result, error) {
	ctx, cancel := context.WithTimeout(c.ctx, within)
	defer cancel()
	var mu sync.Mutex
	got := make(map[uint64]*pluginpb.Result)
	var failed []error
	var all sync.WaitGroup
	for _, e := range events {
		all.Go(func() {
			resp, err := c.client.Handle(ctx, &pluginpb.HandleRequest{Event: e})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, err)
				return
			}
			if what := noOutcome(resp.GetResult()); what != "" {
				c.report(what)
			}
			got[e.GetSeq()] = resp.GetResult()
		})
	}
	all.Wait()
	if failed != nil {
		return got, fmt.Errorf("%d of %d calls fail: %w", len(failed), len(events), failed[0])
	}
	return got, nil
}

func (c *calls) close() {
	c.cancel()
	c.begun.Wait()
}
