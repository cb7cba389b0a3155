// Package sdktest runs a plugin's handlers in a test as the sidecar would: over
// the plugin protocol, with its deadlines and results, but without a process.
//
//	host := sdktest.New(t, &mux)
//	if res := host.Deliver(body); res.Outcome != webhook.Done {
//		t.Errorf("got %v", res)
//	}
//
// Bodies to deliver come from event.Sample, or are your own.
package sdktest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
	"github.com/hookswitch/hookswitch/plugins/sdk/internal/service"
)

// Host plays the sidecar for one plugin. It is safe for concurrent use, and
// closed when the test ends.
type Host struct {
	t      testing.TB
	stream grpc.BidiStreamingClient[pluginpb.DeliverRequest, pluginpb.DeliverResponse]

	mu      sync.Mutex // also: one frame at a time
	seq     uint64
	waiting map[uint64]chan *pluginpb.Result // seq → where the result goes
}

// Event is an event to deliver. Only Body is required.
type Event struct {
	Body    []byte        // the webhook as Telnyx sends it
	Header  http.Header   // of the request; nil means a JSON content type and nothing else
	Attempt int           // counts tries, from 1; 0 means 1
	Timeout time.Duration // the handler's deadline; 0 means 30 s

	// Delivery is what sdk.DeliveryOf returns in the handler. An ID is made up
	// if it has none.
	Delivery sdk.Delivery
}

// Result is what became of an event.
type Result struct {
	Outcome webhook.Outcome
	After   time.Duration // of a retry, not before this; 0 leaves it to the sidecar
	Reason  string        // the text of the handler's error; empty when done
}

// String returns the result in a form for failure messages.
func (r Result) String() string {
	if r.After > 0 {
		return fmt.Sprintf("%v after %v (%s)", r.Outcome, r.After, r.Reason)
	}
	return fmt.Sprintf("%v (%s)", r.Outcome, r.Reason)
}

// New returns a host for the handlers of mux. It fails the test when the
// protocol breaks down, which is never the handlers' fault.
func New(t testing.TB, mux *webhook.Mux) *Host {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(service.MessageMax),
		grpc.MaxSendMsgSize(service.MessageMax))
	svc := service.New(service.Config{
		Name:        "test",
		Mux:         mux,
		MaxInFlight: 64,
		Log:         slog.Default(),
	})
	pluginpb.RegisterPluginServiceServer(server, svc)
	go func() { _ = server.Serve(listener) }() // returns an error only before Stop

	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return listener.DialContext(ctx)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatalf("sdktest: connect: %v", err)
	}
	stream, err := pluginpb.NewPluginServiceClient(conn).Deliver(context.Background())
	if err != nil {
		t.Fatalf("sdktest: open the stream: %v", err)
	}
	h := &Host{t: t, stream: stream, waiting: make(map[uint64]chan *pluginpb.Result)}
	received := make(chan struct{})
	credit := make(chan struct{})
	go func() {
		defer close(received)
		h.receive(sync.OnceFunc(func() { close(credit) }))
	}()
	<-credit
	t.Cleanup(func() {
		svc.Stop()
		conn.Close()
		server.Stop()
		<-received
	})
	return h
}

// Deliver delivers a body as the first attempt, and waits for the result.
func (h *Host) Deliver(body []byte) Result {
	h.t.Helper()
	return h.DeliverEvent(Event{Body: body})
}

// DeliverEvent delivers an event and waits for the result.
func (h *Host) DeliverEvent(e Event) Result {
	h.t.Helper()
	w := e.wire()
	result := make(chan *pluginpb.Result, 1)
	h.mu.Lock()
	h.seq++
	w.Seq = h.seq
	h.waiting[w.Seq] = result
	err := h.stream.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Events{
		Events: &pluginpb.EventBatch{Events: []*pluginpb.Event{w}},
	}})
	h.mu.Unlock()
	if err != nil {
		h.t.Errorf("sdktest: send the event: %v", err)
		return Result{Outcome: webhook.Retry, Reason: err.Error()}
	}
	res, ok := <-result
	if !ok {
		h.t.Error("sdktest: the stream broke before the result")
		return Result{Outcome: webhook.Retry, Reason: "the stream broke"}
	}
	switch out := res.GetOutcome().(type) {
	case *pluginpb.Result_Ack:
		return Result{Outcome: webhook.Done}
	case *pluginpb.Result_Fail:
		return Result{Outcome: webhook.Dead, Reason: out.Fail.GetReason()}
	}
	return Result{
		Outcome: webhook.Retry,
		After:   res.GetRetry().GetAfter().AsDuration(),
		Reason:  res.GetRetry().GetReason(),
	}
}

// wire returns the event as the sidecar would send it.
func (e Event) wire() *pluginpb.Event {
	header := e.Header
	if header == nil {
		header = http.Header{"Content-Type": {"application/json"}}
	}
	timeout := e.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	contentType := header.Get("Content-Type")
	decoded := webhook.Decode(contentType, e.Body)
	now := timestamppb.Now()
	w := &pluginpb.Event{
		EventId:     decoded.ID,
		EventType:   decoded.Type,
		OccurredAt:  decoded.OccurredAt.String(),
		ReceivedAt:  now,
		Body:        e.Body,
		ContentType: contentType,
		Attempt:     uint32(max(e.Attempt, 1)),
		Timeout:     durationpb.New(timeout),
		DeliveryId:  cmp.Or(e.Delivery.ID, "00000000-0000-4000-8000-000000000000"),

		Traceparent:    e.Delivery.Traceparent,
		Tracestate:     e.Delivery.Tracestate,
		IdempotencyKey: decoded.Key(),
		Replay:         e.Delivery.Replay,
		CrashSuspect:   uint32(e.Delivery.Crashes),

		Verification: &pluginpb.Verification{
			Scheme:   "telnyx",
			KeyLabel: "test",
			SignedAt: now,
			Skew:     durationpb.New(0),
		},
	}
	for name, values := range header {
		for _, value := range values {
			w.Headers = append(w.Headers, &pluginpb.Header{Name: name, Value: value})
		}
	}
	return w
}

// receive hands results to those who wait for them until the stream ends.
func (h *Host) receive(ready func()) {
	defer ready()
	for {
		frame, err := h.stream.Recv()
		h.mu.Lock()
		if err != nil {
			for seq, result := range h.waiting {
				close(result)
				delete(h.waiting, seq)
			}
			h.mu.Unlock()
			return
		}
		for _, res := range frame.GetResults().GetResults() {
			if result, ok := h.waiting[res.GetSeq()]; ok {
				delete(h.waiting, res.GetSeq())
				result <- res
			}
		}
		h.mu.Unlock()
		if frame.GetCredit() != nil {
			ready()
		}
	}
}
