package service

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// delivery is one stream of events.
type delivery struct {
	service *Service
	base    context.Context // of all events of the stream; outlives the stream
	running sync.WaitGroup  // handlers of this stream

	sendMu sync.Mutex // one frame at a time
	stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]

	mu     sync.Mutex
	cancel map[uint64]context.CancelFunc // seq → event being handled
}

// Deliver handles the events of a stream, each in a goroutine of its own.
//
// When the stream breaks, the handlers are not interrupted: their results are
// lost and the events will come again, but work that was begun is better
// finished than cut in half. The end of the process bounds them.
func (s *Service) Deliver(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
	base, cancel := s.withStop(context.Background())
	defer cancel()
	d := &delivery{
		service: s,
		base:    base,
		stream:  stream,
		cancel:  make(map[uint64]context.CancelFunc),
	}
	defer d.running.Wait()
	d.send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Credit{
		Credit: &pluginpb.Credit{InFlight: uint32(s.MaxInFlight())},
	}})
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch f := req.Frame.(type) {
		case *pluginpb.DeliverRequest_Events:
			for _, e := range f.Events.GetEvents() {
				d.begin(e)
			}
		case *pluginpb.DeliverRequest_Cancel:
			d.mu.Lock()
			if cancel, ok := d.cancel[f.Cancel.GetSeq()]; ok {
				cancel()
			}
			d.mu.Unlock()
		case *pluginpb.DeliverRequest_Ping:
			// Here, not in a goroutine: an answer proves that this loop runs.
			d.send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Pong{
				Pong: &pluginpb.Pong{Id: f.Ping.GetId()},
			}})
		case *pluginpb.DeliverRequest_Drain:
			go func() {
				d.running.Wait()
				d.send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Drained{
					Drained: &pluginpb.Drained{},
				}})
			}()
		}
	}
}

// begin starts the handler of an event. Events beyond the credit are turned
// away.
func (d *delivery) begin(e *pluginpb.Event) {
	places, ok := d.service.enter()
	if !ok {
		go d.answer(overload(e.GetSeq()))
		return
	}
	ctx, cancel := context.WithCancel(d.base)
	d.mu.Lock()
	d.cancel[e.GetSeq()] = cancel
	d.mu.Unlock()
	d.running.Add(1)
	go func() {
		defer d.service.running.Done()
		defer d.running.Done()
		d.service.handle(ctx, e, func(res *pluginpb.Result) {
			// The host gives the place to another event when it sees the
			// result, so it must be free by then.
			d.mu.Lock()
			delete(d.cancel, e.GetSeq())
			d.mu.Unlock()
			cancel()
			<-places
			d.answer(res)
		})
	}()
}

func (d *delivery) answer(res *pluginpb.Result) {
	d.send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Results{
		Results: &pluginpb.ResultBatch{Results: []*pluginpb.Result{res}},
	}})
}

// send drops the frame if the stream is broken: Recv reports that.
func (d *delivery) send(frame *pluginpb.DeliverResponse) {
	d.sendMu.Lock()
	defer d.sendMu.Unlock()
	_ = d.stream.Send(frame)
}
