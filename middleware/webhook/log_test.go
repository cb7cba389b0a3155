package webhook_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// text returns a logger that writes to what it also returns.
func text() (*slog.Logger, *output.Buffer) {
	var out output.Buffer
	return slog.New(slog.NewTextHandler(&out, nil)), &out
}

// broken is a Dedupe whose memory fails when it is asked, or told.
type broken struct{ asked error }

func (b broken) Claim(context.Context, string) (webhook.Claim, error) {
	return webhook.Claimed, b.asked
}
func (b broken) Done(context.Context, string) error    { return errors.New("disk full") }
func (b broken) Release(context.Context, string) error { return errors.New("disk full") }

// post sends a signed sample, or one that somebody has changed.
func post(signer *webhooktest.Signer, h http.Handler, changed bool) {
	r := signer.NewRequest("/webhooks", webhooktest.Sample("message.received"))
	if changed {
		r.Header.Set("Telnyx-Signature-Ed25519", strings.Repeat("A", 86)+"==")
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// TestNothingIsSilent: whatever goes wrong in a receiver without any setting is a
// line of the default logger, once.
func TestNothingIsSilent(t *testing.T) {
	signer := webhooktest.NewSigner()
	boom := func(context.Context, *webhook.Event) error { panic("boom") }
	fails := func(err error) webhook.HandlerFunc {
		return func(context.Context, *webhook.Event) error { return err }
	}
	for _, tt := range []struct {
		name    string
		handler webhook.HandlerFunc
		dedupe  webhook.Dedupe
		changed bool
		want    []string
	}{
		{name: "accepted", handler: fails(nil)},
		{name: "error", handler: fails(errors.New("no database")), want: []string{"level=WARN", "failed", "status=503", `error="no database"`, "event_type=message.received", "event_id="}},
		{name: "permanent", handler: fails(webhook.Permanent(errors.New("no such customer"))), want: []string{"level=ERROR", "gave an event up", "status=200", "no such customer"}},
		{name: "panic", handler: boom, want: []string{"level=ERROR", "panicked", "boom", "status=503", "stack=", "log_test.go"}},
		{name: "signature", handler: fails(nil), changed: true, want: []string{"level=WARN", "rejected", "reason=bad_signature", "status=401", "path=/webhooks", "remote_addr=", `hint="Verifier.Explain`}},
		{name: "not asked", handler: fails(nil), dedupe: broken{errors.New("no redis")}, want: []string{"level=ERROR", "without looking for duplicates", "no redis"}},
		{name: "not told", handler: fails(nil), dedupe: broken{}, want: []string{"level=ERROR", "remembered", "disk full"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, own := range []bool{false, true} {
				logger, out := text()
				mux := webhook.Mux{Dedupe: tt.dedupe}
				verifier := webhook.Verifier{Keys: signer.Keys()}
				if own {
					mux.Log, verifier.Log = logger, logger
				} else {
					before := slog.Default()
					slog.SetDefault(logger)
					t.Cleanup(func() { slog.SetDefault(before) })
				}
				mux.Handle("*", tt.handler)
				post(signer, verifier.Handler(&mux), tt.changed)
				if lines := strings.Count(out.String(), "\n"); (lines != 0) != (tt.want != nil) || lines > 1 {
					t.Errorf("%d lines:\n%s", lines, out)
				}
				for _, want := range tt.want {
					if !strings.Contains(out.String(), want) {
						t.Errorf("lacks %q:\n%s", want, out)
					}
				}
			}
		})
	}
}

// mad is a Dedupe that panics when it is asked, or told.
type mad struct{ asked bool }

func (d mad) Claim(context.Context, string) (webhook.Claim, error) {
	if d.asked {
		panic("nil map")
	}
	return webhook.Claimed, nil
}
func (mad) Done(context.Context, string) error    { panic("nil map") }
func (mad) Release(context.Context, string) error { panic("nil map") }

// TestDedupePanics: a panic of a Dedupe is not one of the handler, which runs once, and
// whose result stands.
func TestDedupePanics(t *testing.T) {
	signer := webhooktest.NewSigner()
	for _, asked := range []bool{true, false} {
		logger, out := text()
		ran := 0
		mux := &webhook.Mux{Log: logger, Dedupe: mad{asked}}
		mux.Handle("*", func(context.Context, *webhook.Event) error { ran++; return nil })
		verifier := &webhook.Verifier{Keys: signer.Keys(), Log: logger}
		w := httptest.NewRecorder()
		verifier.Handler(mux).ServeHTTP(w, signer.NewRequest("/webhooks", webhooktest.Sample("message.received")))
		log := out.String()
		if ran != 1 || w.Code != 200 || strings.Count(log, "level=") != 1 || !strings.Contains(log, "the Dedupe panicked: nil map") || !strings.Contains(log, "log_test.go") || strings.Contains(log, "handler panicked") {
			t.Errorf("asked %v: ran %d times, answered %d:\n%s", asked, ran, w.Code, log)
		}
	}
}

// TestNobodyIsAnswered: a status is not said of an answer that nobody read.
func TestNobodyIsAnswered(t *testing.T) {
	signer := webhooktest.NewSigner()
	logger, out := text()
	ctx, leave := context.WithCancel(t.Context())
	mux := &webhook.Mux{Log: logger}
	mux.Handle("*", func(ctx context.Context, _ *webhook.Event) error {
		leave()
		return ctx.Err()
	})
	verifier := &webhook.Verifier{Keys: signer.Keys(), Log: logger}
	r := signer.NewRequest("/webhooks", webhooktest.Sample("message.received")).WithContext(ctx)
	verifier.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	if log := out.String(); !strings.Contains(log, "the client had left") || strings.Contains(log, "status") {
		t.Error(log)
	}
}

// TestAnswerPanicIsLogged: also the panic of a handler that answers itself.
func TestAnswerPanicIsLogged(t *testing.T) {
	signer := webhooktest.NewSigner()
	logger, out := text()
	mux := webhook.Mux{Log: logger}
	mux.Answer("*", func(http.ResponseWriter, *http.Request, *webhook.Event) { panic("boom") })
	verifier := webhook.Verifier{Keys: signer.Keys(), Log: logger}
	post(signer, verifier.Handler(&mux), false)
	if !strings.Contains(out.String(), "panicked") || !strings.Contains(out.String(), "boom") || !strings.Contains(out.String(), "status=500") {
		t.Errorf("logged %q", out)
	}
}

// TestHalfAnAnswer: a handler that panics after it began to answer ends the
// connection, so that what was sent is not taken for the whole.
func TestHalfAnAnswer(t *testing.T) {
	signer := webhooktest.NewSigner()
	logger, out := text()
	mux := webhook.Mux{Log: logger}
	mux.Answer("*", func(w http.ResponseWriter, _ *http.Request, _ *webhook.Event) {
		_, _ = w.Write([]byte("<Response>"))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		panic("boom")
	})
	server := httptest.NewServer((&webhook.Verifier{Keys: signer.Keys(), Log: logger}).Handler(&mux))
	defer server.Close()
	r := signer.NewRequest(server.URL, webhooktest.Sample("texml.gather"))
	r.RequestURI = ""
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err == nil || string(got) != "<Response>" {
		t.Errorf("got %q, %v", got, err)
	}
	server.Close()
	if !strings.Contains(out.String(), "panicked") || strings.Contains(out.String(), "status=") {
		t.Errorf("logged %q", out)
	}
}

// TestMisfitIsLogged: a handler that gets less than was sent.
func TestMisfitIsLogged(t *testing.T) {
	signer := webhooktest.NewSigner()
	logger, out := text()
	mux := webhook.Mux{Log: logger}
	webhook.On(&mux, event.MessageReceived, func(context.Context, *webhook.Event, *event.Message) error { return nil })
	r := signer.NewRequest("/", []byte(`{"data":{"event_type":"message.received","id":"a","payload":{"text":[5]}}}`))
	(&webhook.Verifier{Keys: signer.Keys(), Log: logger}).Handler(&mux).ServeHTTP(httptest.NewRecorder(), r)
	if !strings.Contains(out.String(), "do not fit") || !strings.Contains(out.String(), "text") || !strings.Contains(out.String(), "event_id=a") {
		t.Errorf("logged %q", out)
	}
}

// TestOwnReports: who is told in another way finds nothing in the log.
func TestOwnReports(t *testing.T) {
	signer := webhooktest.NewSigner()
	logger, out := text()
	told := 0
	mux := webhook.Mux{Log: logger, OnError: func(context.Context, *webhook.Event, error) { told++ }}
	mux.Handle("*", func(context.Context, *webhook.Event) error { return errors.New("no database") })
	verifier := webhook.Verifier{Keys: signer.Keys(), Log: logger}
	verifier.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { told++; webhook.Deny(w, r) }))
	post(signer, verifier.Handler(&mux), false)
	post(signer, verifier.Handler(&mux), true)
	if told != 2 || out.String() != "" {
		t.Errorf("told %d times, and logged:\n%s", told, out)
	}
	// HandleEvent returns the error: its caller has it.
	mux.OnError = nil
	if err := mux.HandleEvent(t.Context(), &webhook.Event{Type: "message.received"}); err == nil || out.String() != "" {
		t.Errorf("%v, and logged:\n%s", err, out)
	}
}

// TestLogIsBounded: a flood is ten lines a second of each kind, and then one that says
// how many more there were.
func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := webhooktest.NewSigner()
		logger, out := text()
		verifier := webhook.Verifier{Keys: signer.Keys(), Log: logger}
		h := verifier.Handler(http.NotFoundHandler())
		seen := 0
		news := func() (text string) {
			text = out.String()[seen:]
			seen += len(text)
			return text
		}
		for range 25 {
			post(signer, h, true)
		}
		if n := strings.Count(news(), "\n"); n != 10 {
			t.Errorf("%d lines in a second", n)
		}
		// They do not hide another kind.
		r := signer.NewRequest("/webhooks", nil)
		r.Method = http.MethodGet
		h.ServeHTTP(httptest.NewRecorder(), r)
		if n := strings.Count(news(), "reason=method"); n != 1 {
			t.Errorf("%d lines of another kind", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if text := news(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "kind=bad_signature lines=15") {
			t.Errorf("a second later:\n%s", text)
		}
		post(signer, h, true)
		time.Sleep(time.Second)
		synctest.Wait()
		if text := news(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "rejected") {
			t.Errorf("the next one:\n%s", text)
		}
	})
}
