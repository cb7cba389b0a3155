//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
	"github.com/hookswitch/hookswitch/plugins/sdk"
	"github.com/hookswitch/hookswitch/plugins/sdk/sdktest"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// sameHandlers are the handlers that give the same results wherever they run:
// in a server, in a plugin process under the real host, and under sdktest. The
// text of the message says what they do.
func sameHandlers() *webhook.Mux {
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		switch m.Text {
		case "ok":
			return nil
		case "error":
			return errors.New("crm is down")
		case "facts":
			return fmt.Errorf("%s %s of %s, attempt %d, %d bytes, key %s", e.Type, e.ID, m.From.PhoneNumber, e.Attempt, len(e.Raw), e.Key())
		case "after":
			return fmt.Errorf("wrapped: %w", webhook.RetryAfter(errors.New("busy"), 90*time.Second))
		case "permanent":
			return webhook.Permanent(errors.New("no such user"))
		case "panic":
			panic("oops")
		case "slow":
			<-ctx.Done()
			return errors.New("ran out of time")
		}
		return webhook.Permanent(fmt.Errorf("unknown text %q", m.Text))
	})
	return &mux
}

// same is the plugin with these handlers.
func same() { sdk.Serve(sameHandlers()) }

// sameTimeout is what the slow handler gets.
const sameTimeout = 250 * time.Millisecond

func TestOneSourceRunsTheSameEverywhere(t *testing.T) {
	hosts := []struct {
		name    string
		deliver func(t *testing.T, body []byte) sdktest.Result
	}{
		{"in a server", inServer()},
		{"in a plugin process", inProcess(t)},
		{"in sdktest", inSDKTest(t)},
	}
	body := func(text string) []byte {
		return fmt.Appendf(nil, `{"data":{"event_type":"message.received","id":"7B0E2A9A-7d8e-4d4e-9d5c-0f5a2a7a1f10","payload":{"text":%q,"from":{"phone_number":"+15550100"}}}}`, text)
	}
	tests := []struct {
		text string
		want sdktest.Result
	}{
		{"ok", sdktest.Result{Outcome: webhook.Done}},
		{"error", sdktest.Result{Outcome: webhook.Retry, Reason: "crm is down"}},
		{"facts", sdktest.Result{Outcome: webhook.Retry, Reason: fmt.Sprintf("message.received 7B0E2A9A-7d8e-4d4e-9d5c-0f5a2a7a1f10 of +15550100, attempt 1, %d bytes, key id:7b0e2a9a-7d8e-4d4e-9d5c-0f5a2a7a1f10", len(body("facts")))}},
		{"after", sdktest.Result{Outcome: webhook.Retry, After: 90 * time.Second, Reason: "wrapped: busy"}},
		{"permanent", sdktest.Result{Outcome: webhook.Dead, Reason: "no such user"}},
		{"panic", sdktest.Result{Outcome: webhook.Retry, Reason: "handler panicked: oops"}},
		{"slow", sdktest.Result{Outcome: webhook.Retry, Reason: "ran out of time"}},
		{"é", sdktest.Result{Outcome: webhook.Dead, Reason: `unknown text "é"`}},
	}
	for _, tt := range tests {
		for _, host := range hosts {
			t.Run(tt.text+" "+host.name, func(t *testing.T) {
				got := host.deliver(t, body(tt.text))
				got.Reason, _, _ = strings.Cut(got.Reason, "\n\n") // the stack of a panic
				if got != tt.want {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		}
	}
}

// inServer delivers to a server with a Verifier, and reads the answer: the
// outcome shows as Telnyx sees it, which cannot tell dead from done.
func inServer() func(*testing.T, []byte) sdktest.Result {
	signer := webhooktest.NewSigner()
	mux := sameHandlers()
	var handled error
	mux.OnError = func(_ context.Context, _ *webhook.Event, err error) { handled = err }
	server := (&webhook.Verifier{Keys: signer.Keys()}).Handler(mux)
	return func(t *testing.T, body []byte) sdktest.Result {
		ctx, cancel := context.WithTimeout(t.Context(), sameTimeout)
		defer cancel()
		handled = nil
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, signer.NewRequest("/webhooks", body).WithContext(ctx))
		outcome, after := webhook.OutcomeOf(handled)
		if wantStatus := map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusOK}[outcome == webhook.Retry]; rec.Code != wantStatus {
			t.Errorf("answered %d for %v", rec.Code, outcome)
		}
		if seconds, _ := strconv.Atoi(rec.Header().Get("Retry-After")); after > 0 && time.Duration(seconds)*time.Second != after {
			t.Errorf("Retry-After %d s, want %v", seconds, after)
		}
		res := sdktest.Result{Outcome: outcome, After: after}
		if handled != nil {
			res.Reason = handled.Error()
		}
		return res
	}
}

// inProcess delivers to a plugin process, and reads the record of the attempt.
func inProcess(t *testing.T) func(*testing.T, []byte) sdktest.Result {
	s := startSetup(t, func(c *Config) { c.Timeout = sameTimeout }, "same")
	p := s.plugin(t, "same")
	job := int64(0)
	return func(t *testing.T, body []byte) sdktest.Result {
		job++
		e := webhook.Decode("application/json", body)
		a := deliver(t, p, delivery.Task{
			Job: delivery.Job{ID: job, Target: p.Name()},
			Event: &delivery.Event{DeliveryID: fmt.Sprint("delivery-", job), ID: e.ID, Type: e.Type, Key: e.Key(), Body: body, ReceivedAt: time.Now(),
				Header: [][2]string{{"Content-Type", "application/json"}}},
		})
		outcome := map[delivery.Outcome]webhook.Outcome{
			delivery.OutcomeDone: webhook.Done, delivery.OutcomeRetry: webhook.Retry, delivery.OutcomeFailed: webhook.Dead,
		}[a.Outcome]
		return sdktest.Result{Outcome: outcome, After: a.RetryAfter, Reason: string(a.ResponseBody)}
	}
}

func inSDKTest(t *testing.T) func(*testing.T, []byte) sdktest.Result {
	host := sdktest.New(t, sameHandlers())
	return func(t *testing.T, body []byte) sdktest.Result {
		return host.DeliverEvent(sdktest.Event{Body: body, Timeout: sameTimeout})
	}
}
