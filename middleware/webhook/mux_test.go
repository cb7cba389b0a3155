package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

func TestMostSpecificPatternWins(t *testing.T) {
	var mux webhook.Mux
	var got string
	note := func(pattern string) {
		mux.Handle(pattern, func(context.Context, *webhook.Event) error {
			got = pattern
			return nil
		})
	}
	for _, p := range []string{"*", "call.*", "call.machine.*", "call.hangup", "message.sent"} {
		note(p)
	}
	for typ, want := range map[string]string{
		"call.hangup":                  "call.hangup",
		"call.hangup.x":                "call.*",
		"call.machine.detection.ended": "call.machine.*",
		"call.machine":                 "call.*",
		"call.":                        "*",
		"message.received":             "*",
		"never.heard.of":               "*",
		"call.*":                       "call.*", // a type from the wire is not a pattern
		"*":                            "*",
		"":                             "*",
	} {
		got = ""
		if err := mux.HandleEvent(t.Context(), &webhook.Event{Type: typ}); err != nil || got != want {
			t.Errorf("type %q went to %q (%v), want %q", typ, got, err, want)
		}
	}
	if want := []string{"*", "call.*", "call.hangup", "call.machine.*", "message.sent"}; !slices.Equal(mux.Patterns(), want) {
		t.Errorf("Patterns = %q, want %q", mux.Patterns(), want)
	}
	var none webhook.Mux
	if err := none.HandleEvent(t.Context(), &webhook.Event{Type: "x"}); err != nil {
		t.Errorf("event without a handler: %v, want done", err)
	}
}

// TestNamesOfAPIv1ReachTheHandlersOfV2: version 1 is still the default of call
// control applications.
func TestNamesOfAPIv1ReachTheHandlersOfV2(t *testing.T) {
	var mux webhook.Mux
	var got []string
	webhook.On(&mux, event.CallAnswered, func(_ context.Context, e *webhook.Event, p *event.CallAnsweredPayload) error {
		got = append(got, e.Type+" "+p.To)
		return nil
	})
	mux.Handle("call.*", func(_ context.Context, e *webhook.Event) error {
		got = append(got, "call.* "+e.Type)
		return nil
	})
	for _, body := range []string{
		`{"record_type":"event","id":"1","event_type":"call_answered","created_at":"2026-01-02T03:04:05Z","payload":{"to":"+1"}}`,
		`{"record_type":"event","id":"2","event_type":"recording_saved","created_at":"2026-01-02T03:04:05Z","payload":{}}`,
	} {
		if err := mux.HandleEvent(t.Context(), webhook.Decode("application/json", []byte(body))); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"call_answered +1", "call.* recording_saved"}; !slices.Equal(got, want) {
		t.Errorf("handled %q, want %q: the type as sent, in the handler for its name in v2", got, want)
	}
}

// TestNamesThatDoNotExistAreWarnedAbout changes the default logger, so it
// cannot run beside other tests.
func TestNamesThatDoNotExistAreWarnedAbout(t *testing.T) {
	var log strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	var mux webhook.Mux
	nop := func(context.Context, *webhook.Event) error { return nil }
	mux.Handle("message.delivered", nop)
	mux.Handle("message.finalized", nop)
	mux.Handle("tomorrow.invented", nop)
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "message.finalized") {
		t.Errorf("log:\n%s\nwant one line that names message.finalized", text)
	}
}

func TestRegistrationMistakesPanic(t *testing.T) {
	nop := func(context.Context, *webhook.Event) error { return nil }
	for name, register := range map[string]func(*webhook.Mux){
		"empty":             func(m *webhook.Mux) { m.Handle("", nop) },
		"star in front":     func(m *webhook.Mux) { m.Handle("*.sent", nop) },
		"star without dot":  func(m *webhook.Mux) { m.Handle("message*", nop) },
		"two patterns":      func(m *webhook.Mux) { m.Handle("a,b", nop) },
		"nil handler":       func(m *webhook.Mux) { m.Handle("a", nil) },
		"twice":             func(m *webhook.Mux) { m.Handle("a", nop); m.Handle("a", nop) },
		"nil typed handler": func(m *webhook.Mux) { webhook.On(m, event.MessageSent, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); v == nil || !strings.HasPrefix(fmt.Sprint(v), "webhook: ") {
					t.Errorf("recovered %v, want a panic that names the package", v)
				}
			}()
			register(new(webhook.Mux))
		})
	}
}

func TestTypedHandlerGetsTheSeedMessage(t *testing.T) {
	var mux webhook.Mux
	var m *event.Message
	webhook.On(&mux, event.MessageSent, func(_ context.Context, _ *webhook.Event, got *event.Message) error {
		m = got
		return nil
	})
	e := webhook.Decode("application/json", webhooktest.Sample("message.sent"))
	if err := mux.HandleEvent(t.Context(), e); err != nil || len(e.Warnings) > 0 {
		t.Fatalf("%v, warnings %v", err, e.Warnings)
	}
	if m.ID != "40385f64-5717-4562-b3fc-2c963f66afa6" || m.To[0].PhoneNumber != "+18665550001" || m.Cost.Amount != "0.0051" {
		t.Errorf("message %+v", m)
	}
}

func TestSurprisingFieldKeepsTheRest(t *testing.T) {
	var mux webhook.Mux
	var m *event.Message
	webhook.On(&mux, event.MessageReceived, func(_ context.Context, _ *webhook.Event, got *event.Message) error {
		m = got
		return nil
	})
	e := webhook.Decode("application/json", []byte(`{"data":{"event_type":"message.received","payload":
		{"parts":"two","to":"+15550100001","from":{"phone_number":7,"carrier":"C"},"text":"hi","tags":null}}}`))
	if err := mux.HandleEvent(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if m.Text != "hi" || m.To[0].PhoneNumber != "+15550100001" || m.From.Carrier != "C" {
		t.Errorf("message %+v: one odd field cost others", m)
	}
	if len(e.Warnings) != 1 || !strings.Contains(e.Warnings[0].Error(), "parts") {
		t.Errorf("warnings %v, want one that names parts", e.Warnings)
	}
}

func TestOutcomes(t *testing.T) {
	base := errors.New("base")
	tests := []struct {
		name    string
		handler func() error
		outcome webhook.Outcome
		after   time.Duration
		status  int
		retryIn string
	}{
		{"nil", func() error { return nil }, webhook.Done, 0, 200, ""},
		{"an error", func() error { return base }, webhook.Retry, 0, 503, "1"},
		{"permanent", func() error { return webhook.Permanent(base) }, webhook.Dead, 0, 200, ""},
		{"permanent nil is no success", func() error { return webhook.Permanent(nil) }, webhook.Dead, 0, 200, ""},
		{"permanent, wrapped", func() error { return fmt.Errorf("w: %w", webhook.Permanent(base)) }, webhook.Dead, 0, 200, ""},
		{"retry after 90.5 s", func() error { return webhook.RetryAfter(base, 90500*time.Millisecond) }, webhook.Retry, 90500 * time.Millisecond, 503, "91"},
		{"retry after nothing", func() error { return webhook.RetryAfter(nil, -1) }, webhook.Retry, 0, 503, "1"},
		{"the outer mark wins", func() error { return webhook.Permanent(webhook.RetryAfter(base, time.Hour)) }, webhook.Dead, 0, 200, ""},
		{"a panic", func() error { panic("boom") }, webhook.Retry, 0, 503, "1"},
		{"a nil pointer", func() error { var e *webhook.Event; _ = e.Type; return nil }, webhook.Retry, 0, 503, "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signer := webhooktest.NewSigner()
			var mux webhook.Mux
			var reported error
			mux.OnError = func(_ context.Context, _ *webhook.Event, err error) { reported = err }
			mux.Handle("*", func(context.Context, *webhook.Event) error { return tt.handler() })

			err := mux.HandleEvent(t.Context(), &webhook.Event{})
			outcome, after := webhook.OutcomeOf(err)
			if outcome != tt.outcome || after != tt.after {
				t.Errorf("outcome %v after %v, want %v after %v", outcome, after, tt.outcome, tt.after)
			}
			if (reported == nil) != (tt.outcome == webhook.Done) {
				t.Errorf("OnError got %v", reported)
			}
			if p, ok := errors.AsType[*webhook.PanicError](err); ok && !strings.Contains(string(p.Stack), "mux_test.go") {
				t.Errorf("the stack of the panic does not show the handler:\n%s", p.Stack)
			}

			v := &webhook.Verifier{Keys: signer.Keys()}
			rec := httptest.NewRecorder()
			v.Handler(&mux).ServeHTTP(rec, signer.NewRequest("/", []byte(`{}`)))
			if rec.Code != tt.status || rec.Header().Get("Retry-After") != tt.retryIn {
				t.Errorf("status %d, Retry-After %q; want %d, %q", rec.Code, rec.Header().Get("Retry-After"), tt.status, tt.retryIn)
			}
		})
	}
}

func TestAbortHandlerGoesThrough(t *testing.T) {
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error { panic(http.ErrAbortHandler) })
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v, want http.ErrAbortHandler", v)
		}
	}()
	_ = mux.HandleEvent(t.Context(), &webhook.Event{})
}
