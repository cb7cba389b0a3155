package sdktest_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
	"github.com/hookswitch/hookswitch/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const received = `{"data":{"event_type":"message.received","id":"7b0e2a9a-7d8e-4d4e-9d5c-0f5a2a7a1f10","occurred_at":"2026-11-02T22:25:27.521Z","payload":{"text":"hello","from":{"phone_number":"+13125550001"}}},"meta":{"attempt":1}}`

func TestResults(t *testing.T) {
	tests := []struct {
		name    string
		handler webhook.HandlerFunc
		timeout time.Duration
		want    sdktest.Result
	}{
		{"nil is done",
			func(context.Context, *webhook.Event) error { return nil },
			0, sdktest.Result{Outcome: webhook.Done}},
		{"an error is a retry by the sidecar's schedule",
			func(context.Context, *webhook.Event) error { return errors.New("crm is down") },
			0, sdktest.Result{Outcome: webhook.Retry, Reason: "crm is down"}},
		{"RetryAfter keeps its wait",
			func(context.Context, *webhook.Event) error {
				return webhook.RetryAfter(errors.New("busy"), 90*time.Second)
			},
			0, sdktest.Result{Outcome: webhook.Retry, After: 90 * time.Second, Reason: "busy"}},
		{"Permanent is dead",
			func(context.Context, *webhook.Event) error { return webhook.Permanent(errors.New("no such user")) },
			0, sdktest.Result{Outcome: webhook.Dead, Reason: "no such user"}},
		{"a panic is a retry",
			func(context.Context, *webhook.Event) error { panic("oops") },
			0, sdktest.Result{Outcome: webhook.Retry, Reason: "handler panicked: oops"}},
		{"the panic that the Mux lets through is a retry",
			func(context.Context, *webhook.Event) error { panic(http.ErrAbortHandler) },
			0, sdktest.Result{Outcome: webhook.Retry, Reason: "handler panicked: net/http: abort Handler"}},
		{"a handler that ends its goroutine is a retry",
			func(context.Context, *webhook.Event) error { runtime.Goexit(); return nil },
			0, sdktest.Result{Outcome: webhook.Retry, Reason: "the handler ended its goroutine"}},
		{"the deadline is the event's timeout",
			func(ctx context.Context, _ *webhook.Event) error { <-ctx.Done(); return ctx.Err() },
			time.Millisecond, sdktest.Result{Outcome: webhook.Retry, Reason: "context deadline exceeded"}},
		{"a reason is cut to size and to UTF-8",
			func(context.Context, *webhook.Event) error { return errors.New("\xff" + strings.Repeat("x", 1<<20)) },
			0, sdktest.Result{Outcome: webhook.Retry, Reason: strings.Repeat("x", 4<<10-1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var mux webhook.Mux
			mux.Handle("*", tt.handler)
			host := sdktest.New(t, &mux)
			got := host.DeliverEvent(sdktest.Event{Body: []byte(received), Timeout: tt.timeout})
			got.Reason, _, _ = strings.Cut(got.Reason, "\n\n") // the stack of a panic
			if got != tt.want {
				t.Errorf("got %.200v, want %.200v", got, tt.want)
			}
		})
	}
}

func TestHandlerGetsTheWholeEvent(t *testing.T) {
	var got *webhook.Event
	var text string
	var delivery sdk.Delivery
	sent := sdk.Delivery{
		ID: "d", Replay: true, Round: 3, Crashes: 2,
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=b",
	}
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		got, text = e, m.Text
		delivery, _ = sdk.DeliveryOf(ctx)
		sdk.Log(ctx).Debug("seen")
		return nil
	})
	host := sdktest.New(t, &mux)
	res := host.DeliverEvent(sdktest.Event{
		Body:     []byte(received),
		Header:   http.Header{"Content-Type": {"application/json"}, "X-Two": {"1", "2"}},
		Attempt:  3,
		Delivery: sent,
	})
	if res.Outcome != webhook.Done {
		t.Fatalf("got %v", res)
	}
	if string(got.Raw) != received || text != "hello" {
		t.Errorf("handler got body %q and text %q", got.Raw, text)
	}
	if got.ID != "7b0e2a9a-7d8e-4d4e-9d5c-0f5a2a7a1f10" || got.Type != "message.received" || got.Attempt != 3 {
		t.Errorf("handler got id %q, type %q, attempt %d", got.ID, got.Type, got.Attempt)
	}
	if v := got.Header.Values("X-Two"); len(v) != 2 || v[0] != "1" || v[1] != "2" {
		t.Errorf("handler got header values %q", v)
	}
	if delivery != sent {
		t.Errorf("handler got the delivery %+v, want %+v", delivery, sent)
	}
	if s := got.Signature; s.Scheme != "telnyx" || s.KeyLabel != "test" || s.Timestamp.IsZero() {
		t.Errorf("handler got signature facts %+v", s)
	}
}

func TestConcurrentDeliveriesGetTheirOwnResults(t *testing.T) {
	var mux webhook.Mux
	mux.Handle("*", func(_ context.Context, e *webhook.Event) error { return errors.New(string(e.Raw)) })
	host := sdktest.New(t, &mux)
	var wg sync.WaitGroup
	for i := range 50 {
		body := strings.Repeat("x", i+1)
		wg.Go(func() {
			if res := host.Deliver([]byte(body)); res.Reason != body {
				t.Errorf("got the result %q for %q", res.Reason, body)
			}
		})
	}
	wg.Wait()
}

func TestAPanicComesWithItsStack(t *testing.T) {
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error { return explode() })
	reason := sdktest.New(t, &mux).Deliver([]byte(received)).Reason
	if !strings.HasPrefix(reason, "handler panicked: oops\n\n") || !strings.Contains(reason, "sdktest_test.go:") {
		t.Errorf("got %s", reason)
	}
	if _, stack, _ := strings.Cut(reason, "\n\n"); !strings.HasPrefix(stack, "github.com/hookswitch/hookswitch/plugins/sdk/sdktest_test.explode(") {
		t.Errorf("the stack does not begin where the panic was:\n%s", stack)
	}
}

//go:noinline
func explode() error { panic("oops") }

type settings struct {
	Greeting string `json:"greeting" required:"true"`
}

func greeter(got *string) sdk.Plugin {
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error { return nil })
	return sdk.Plugin{Mux: &mux, MaxInFlight: 1, Configure: sdk.Settings(func(_ context.Context, s *settings) error {
		*got = s.Greeting
		return nil
	})}
}

func TestSettings(t *testing.T) {
	var got string
	host := sdktest.Start(t, greeter(&got), `{"greeting":"hi"}`)
	if res := host.Deliver([]byte(received)); res.Outcome != webhook.Done || got != "hi" {
		t.Errorf("got %v with the greeting %q", res, got)
	}
	wrong := sdk.FieldErrors(sdktest.Refusal(t, greeter(&got), `{"greting":"hi"}`))
	want := []sdk.FieldError{
		{Field: "greting", Message: `unknown setting, did you mean "greeting"?`},
		{Field: "greeting", Message: "is required"},
	}
	if !slices.Equal(wrong, want) {
		t.Errorf("got %q, want %q", wrong, want)
	}
	if err := sdktest.Refusal(t, greeter(&got), `{"greeting":"hi"}`); err != nil {
		t.Errorf("good settings: %v", err)
	}
}

func TestAttempts(t *testing.T) {
	var mux webhook.Mux
	mux.Handle("*", func(ctx context.Context, e *webhook.Event) error {
		if e.Attempt < 3 {
			sdk.Log(ctx).Warn("not yet")
			return errors.New("not yet")
		}
		return nil
	})
	host := sdktest.New(t, &mux)
	notYet := sdktest.Result{Outcome: webhook.Retry, Reason: "not yet"}
	if got, want := host.Attempts(sdktest.Event{Body: []byte(received)}, 5), []sdktest.Result{notYet, notYet, {}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := host.Attempts(sdktest.Event{Body: []byte(received)}, 1), []sdktest.Result{notYet}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if log := host.Log(); strings.Count(log, "level=WARN msg=\"not yet\" event_id=7b0e2a9a-") != 3 || !strings.Contains(log, "attempt=2") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestCancel(t *testing.T) {
	begun := make(chan struct{})
	var mux webhook.Mux
	mux.Handle("*", func(ctx context.Context, _ *webhook.Event) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	host := sdktest.New(t, &mux)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	want := sdktest.Result{Outcome: webhook.Retry, Reason: "context canceled"}
	if got := host.DeliverContext(ctx, sdktest.Event{Body: []byte(received)}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAHandlerThatIgnoresItsContext(t *testing.T) {
	end := make(chan struct{})
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error { <-end; return nil })
	host := sdktest.New(t, &mux)
	got := host.DeliverEvent(sdktest.Event{Body: []byte(received), Timeout: time.Millisecond})
	if got.Outcome != webhook.Retry || !strings.Contains(got.Reason, "went on") {
		t.Errorf("got %v", got)
	}
	close(end)
	host.Drain() // waits for the handler
}

func TestDrainWaitsForWhatIsUnderWay(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error { close(begun); <-end; return nil })
	host := sdktest.New(t, &mux)
	result := make(chan sdktest.Result, 1)
	go func() { result <- host.Deliver([]byte(received)) }()
	<-begun
	drained := make(chan struct{})
	go func() { host.Drain(); close(drained) }()
	select {
	case <-drained:
		t.Error("drained with an event under way")
	default:
	}
	close(end)
	<-drained
	if res := <-result; res.Outcome != webhook.Done {
		t.Errorf("got %v", res)
	}
}

func TestMaxInFlightIsKept(t *testing.T) {
	var running, most atomic.Int32
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		runtime.Gosched()
		return nil
	})
	host := sdktest.Start(t, sdk.Plugin{Mux: &mux, MaxInFlight: 1}, "")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if res := host.Deliver([]byte(received)); res.Outcome != webhook.Done {
				t.Errorf("got %v", res)
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d events were handled at the same time", most.Load())
	}
}

func TestLargestEventFits(t *testing.T) {
	var size int
	var mux webhook.Mux
	mux.Handle("*", func(_ context.Context, e *webhook.Event) error { size = len(e.Raw); return nil })
	body := make([]byte, 15<<20)
	if res := sdktest.New(t, &mux).Deliver(body); res.Outcome != webhook.Done || size != len(body) {
		t.Errorf("got %v, and the handler saw %d of %d bytes", res, size, len(body))
	}
}
