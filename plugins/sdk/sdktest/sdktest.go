// Package sdktest runs a plugin's handlers in a test as the sidecar would: over
// the plugin protocol, with its credit, deadlines and results, but without a
// process.
//
//	host := sdktest.New(t, &mux)
//	if res := host.Deliver(body); res.Outcome != webhook.Done {
//		t.Errorf("got %v", res)
//	}
//
// Bodies to deliver come from event.Sample, or are your own. [Start] takes a
// whole plugin, with its settings; [Host.Attempts] tries as often as the sidecar
// would; [Host.Log] returns the handlers' log.
package sdktest

import (
	"cmp"
	"context"
	"errors"
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

// grace is how long the sidecar waits for the result of an event after it has
// told the plugin to stop.
const grace = 2 * time.Second

// Host plays the sidecar for one plugin. It is safe for concurrent use, and
// closed when the test ends.
type Host struct {
	t      testing.TB
	stream grpc.BidiStreamingClient[pluginpb.DeliverRequest, pluginpb.DeliverResponse]
	log    logText

	places  chan struct{} // the plugin's credit: one for each event without result
	drained chan struct{} // closed when the plugin says so

	mu       sync.Mutex // also: one frame at a time
	seq      uint64
	draining bool
	waiting  map[uint64]chan *pluginpb.Result // seq → where the result goes
}

// Event is an event to deliver. Only Body is required.
type Event struct {
	Body    []byte        // the webhook as Telnyx sends it
	Header  http.Header   // of the request; nil means a JSON content type and nothing else
	Attempt int           // counts tries, from 1; 0 means 1
	Timeout time.Duration // the handler's deadline; 0 means 30 s

	// Delivery is the result of sdk.DeliveryOf in the handler. An ID is made up
	// if it has none.
	Delivery sdk.Delivery
}

// Result is the outcome of an event.
type Result struct {
	Outcome webhook.Outcome
	After   time.Duration // of a retry, not before this; 0 leaves it to the sidecar
	Reason  string        // the text of the handler's error; empty when done. After a panic the stack follows.
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
	return Start(t, sdk.Plugin{Mux: mux}, "")
}

// Start returns a host for a plugin that has been given the settings, in JSON.
// It fails the test when the plugin refuses them.
func Start(t testing.TB, p sdk.Plugin, settings string) *Host {
	t.Helper()
	h, err := start(t, p, settings)
	if err != nil {
		t.Fatalf("sdktest: the plugin refuses its settings: %v", err)
	}
	return h
}

// Refusal returns a plugin's error about the settings, for sdk.FieldErrors, or
// nil if it accepts them.
func Refusal(t testing.TB, p sdk.Plugin, settings string) error {
	t.Helper()
	_, err := start(t, p, settings)
	return err
}

func start(t testing.TB, p sdk.Plugin, settings string) (*Host, error) {
	t.Helper()
	h := &Host{t: t, waiting: make(map[uint64]chan *pluginpb.Result), drained: make(chan struct{})}
	svc := h.service(p)
	conn := serve(t, svc)
	client := pluginpb.NewPluginServiceClient(conn)
	resp, err := client.Configure(context.Background(), &pluginpb.ConfigureRequest{Name: p.Name, ConfigJson: []byte(settings)})
	if err != nil {
		return nil, err
	}
	var refused []error
	for _, e := range resp.GetErrors() {
		refused = append(refused, &sdk.FieldError{Field: e.GetField(), Message: e.GetMessage()})
	}
	if refused != nil {
		return nil, errors.Join(refused...)
	}
	if h.stream, err = client.Deliver(context.Background()); err != nil {
		t.Fatalf("sdktest: open the stream: %v", err)
	}
	received := make(chan struct{})
	credit := make(chan int, 1)
	go func() {
		defer close(received)
		h.receive(credit)
	}()
	h.places = make(chan struct{}, <-credit)
	t.Cleanup(func() {
		svc.Stop()
		conn.Close()
		<-received
		if t.Failed() {
			t.Logf("sdktest: the plugin logged:\n%s", h.Log())
		}
	})
	return h, nil
}

// service returns the plugin's side, as package sdk makes it.
func (h *Host) service(p sdk.Plugin) *service.Service {
	cfg := service.Config{
		Name:        cmp.Or(p.Name, "test"),
		Version:     p.Version,
		Mux:         p.Mux,
		MaxInFlight: p.MaxInFlight,
		Log:         slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if p.Configure != nil {
		cfg.Configure = func(ctx context.Context, settings []byte) service.Configured {
			applied, err := p.Configure.Apply(ctx, settings)
			got := service.Configured{Patterns: applied.Events, MaxInFlight: applied.MaxInFlight}
			for _, e := range sdk.FieldErrors(err) {
				got.Errors = append(got.Errors, service.FieldError(e))
			}
			return got
		}
	}
	return service.New(cfg)
}

// serve serves a plugin for the length of the test, and connects to it.
func serve(t testing.TB, svc *service.Service) *grpc.ClientConn {
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(service.MessageMax),
		grpc.MaxSendMsgSize(service.MessageMax))
	pluginpb.RegisterPluginServiceServer(server, svc)
	go func() { _ = server.Serve(listener) }() // returns an error only before Stop
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return listener.DialContext(ctx)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatalf("sdktest: connect: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Log returns the plugin's log so far, a line of text for each record, with the
// event's id, type and attempt where there is one.
func (h *Host) Log() string { return h.log.String() }

// Deliver delivers a body as the first attempt, and waits for the result.
func (h *Host) Deliver(body []byte) Result {
	h.t.Helper()
	return h.DeliverEvent(Event{Body: body})
}

// DeliverEvent delivers an event and waits for the result, at most for its
// timeout and two seconds more.
func (h *Host) DeliverEvent(e Event) Result {
	h.t.Helper()
	return h.DeliverContext(context.Background(), e)
}

// Attempts delivers an event again until it is done or dead, at most n times,
// and returns the results. It does not wait between them.
func (h *Host) Attempts(e Event, n int) []Result {
	h.t.Helper()
	var all []Result
	for e.Attempt = max(e.Attempt, 1); len(all) < n; e.Attempt++ {
		res := h.DeliverEvent(e)
		all = append(all, res)
		if res.Outcome != webhook.Retry {
			break
		}
	}
	return all
}

// DeliverContext is DeliverEvent for a sidecar that gives up when ctx ends: it
// tells the plugin, which ends the handler's context, and waits for the result.
func (h *Host) DeliverContext(ctx context.Context, e Event) Result {
	h.t.Helper()
	h.places <- struct{}{}
	timeout := cmp.Or(e.Timeout, 30*time.Second)
	seq, result, err := h.send(e.wire(timeout))
	if err != nil {
		h.t.Errorf("sdktest: send the event: %v", err)
		return Result{Outcome: webhook.Retry, Reason: err.Error()}
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case res, ok := <-result:
		return h.result(res, ok)
	case <-timer.C: // as the plugin knows by itself
	case <-ctx.Done():
		h.frame(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Cancel{Cancel: &pluginpb.Cancel{Seq: seq}}})
	}
	timer.Reset(grace)
	select {
	case res, ok := <-result:
		return h.result(res, ok)
	case <-timer.C:
		return Result{Outcome: webhook.Retry, Reason: "the handler went on although its context had ended"}
	}
}

// send sends an event for which there is a place.
func (h *Host) send(w *pluginpb.Event) (uint64, <-chan *pluginpb.Result, error) {
	result := make(chan *pluginpb.Result, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return 0, nil, errors.New("the plugin has been drained")
	}
	h.seq++
	w.Seq = h.seq
	h.waiting[w.Seq] = result
	return w.Seq, result, h.stream.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Events{
		Events: &pluginpb.EventBatch{Events: []*pluginpb.Event{w}},
	}})
}

// frame sends a frame, and leaves it to receive to notice a broken stream.
func (h *Host) frame(f *pluginpb.DeliverRequest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.stream.Send(f)
}

// Drain tells the plugin that no more events follow, as when the sidecar stops or
// replaces it, and waits until it has answered all it has. Nothing can be
// delivered after that.
func (h *Host) Drain() {
	h.t.Helper()
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	h.frame(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Drain{Drain: &pluginpb.Drain{}}})
	<-h.drained
}

func (h *Host) result(res *pluginpb.Result, ok bool) Result {
	h.t.Helper()
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
func (e Event) wire(timeout time.Duration) *pluginpb.Event {
	header := e.Header
	if header == nil {
		header = http.Header{"Content-Type": {"application/json"}}
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
		Round:          uint32(e.Delivery.Round),
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

// receive hands results to those who wait for them until the stream ends. The
// first credit, or 0 if there is none, goes to the channel.
func (h *Host) receive(credit chan<- int) {
	defer close(credit)
	credited := false
	drained := sync.OnceFunc(func() { close(h.drained) })
	defer drained()
	for {
		frame, err := h.stream.Recv()
		if err != nil {
			h.mu.Lock()
			for seq, result := range h.waiting {
				close(result)
				delete(h.waiting, seq)
			}
			h.mu.Unlock()
			return
		}
		for _, res := range frame.GetResults().GetResults() {
			h.mu.Lock()
			result := h.waiting[res.GetSeq()]
			delete(h.waiting, res.GetSeq())
			h.mu.Unlock()
			if result != nil {
				<-h.places // before anybody sees the result
				result <- res
			}
		}
		if c := frame.GetCredit(); c != nil && !credited {
			credited = true
			credit <- int(c.GetInFlight())
		}
		if frame.GetDrained() != nil {
			drained()
		}
	}
}

// logText collects a log. It is safe for concurrent use.
type logText struct {
	mu   sync.Mutex
	text []byte
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
