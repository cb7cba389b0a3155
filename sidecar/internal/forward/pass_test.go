package forward_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
)

// serve starts an app.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestPassReturnsTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		status  int
		outcome delivery.Outcome
		codes   int
	}{{200, delivery.OutcomeDone, 0}, {202, delivery.OutcomeDone, 0}, {404, delivery.OutcomeFailed, 1}, {500, delivery.OutcomeFailed, 1}} {
		body := strings.Repeat("<Response/>", 2000)
		var signed string
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			signed = r.Header.Get(webhook.HeaderSignature)
			w.Header().Set("Content-Type", "application/xml")
			w.Header().Set("Set-Cookie", "session=1")
			w.WriteHeader(tt.status)
			io.WriteString(w, body)
		})
		f := newForward(t, forward.Config{URL: url})
		a, answer := f.Pass(t.Context(), newTask().Event)
		if answer == nil {
			t.Fatalf("%d: no answer: %+v", tt.status, a)
		}
		got, err := io.ReadAll(answer.Body)
		if err != nil || string(got) != body || answer.StatusCode != tt.status || answer.Header.Get("Content-Type") != "application/xml" {
			t.Errorf("%d: answer %d %v, %d bytes, %v", tt.status, answer.StatusCode, answer.Header, len(got), err)
		}
		for _, name := range []string{"Set-Cookie", "Date", "Content-Length"} {
			if answer.Header.Get(name) != "" {
				t.Errorf("%d: %s was passed back", tt.status, name)
			}
		}
		if signed == "" {
			t.Errorf("%d: the request was not signed", tt.status)
		}
		if a.Outcome != tt.outcome || len(a.ErrorCodes) != tt.codes || a.ResponseStatus != tt.status || len(a.ResponseBody) != delivery.RecordLimit ||
			a.FinishedAt.Before(a.StartedAt) || len(a.RequestHeader) == 0 {
			t.Errorf("%d: attempt %+v", tt.status, a)
		}
	}
}

func TestPassWithoutAnswer(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	for _, tt := range []struct {
		name, url, says string
	}{
		{"nobody there", "http://127.0.0.1:1/", "could not connect"},
		{"too slow", serve(t, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
		}), "no answer within"},
		{"too much", serve(t, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat("x", 1<<20+1))
		}), "more than"},
	} {
		f := newForward(t, forward.Config{URL: tt.url, Timeout: 300 * time.Millisecond})
		a, answer := f.Pass(t.Context(), newTask().Event)
		if answer != nil || a.Outcome != delivery.OutcomeFailed || len(a.ErrorCodes) != 1 || !strings.Contains(a.Error, tt.says) || a.FinishedAt.IsZero() {
			t.Errorf("%s: %+v", tt.name, a)
		}
	}
}

func TestSigning(t *testing.T) {
	for _, tt := range []struct {
		sign      forward.Sign
		timestamp string // "" none, "1" as received
	}{{forward.Passthrough, "1"}, {forward.Unsigned, ""}} {
		var got http.Header
		url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
		f, err := forward.New(forward.Config{URL: url, Sign: tt.sign}) // without a key
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Deliver(t.Context(), newTask()); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"1": "old", "": ""}[tt.timestamp]
		if got.Get(webhook.HeaderTimestamp) != tt.timestamp || got.Get(webhook.HeaderSignature) != want {
			t.Errorf("sign %d: timestamp %q, signature %q", tt.sign, got.Get(webhook.HeaderTimestamp), got.Get(webhook.HeaderSignature))
		}
	}
}

func TestConfiguredHeadersAreSentAndNotRecorded(t *testing.T) {
	var got http.Header
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	f := newForward(t, forward.Config{URL: url, Header: http.Header{"x-team": {"pl4nted"}}})
	a, err := f.Deliver(t.Context(), newTask())
	if err != nil || got.Get("X-Team") != "pl4nted" {
		t.Errorf("sent %v, %v", got, err)
	}
	for _, h := range a.RequestHeader {
		if strings.Contains(h[1], "pl4nted") {
			t.Errorf("recorded %v", h)
		}
	}
}

func TestRetryOn(t *testing.T) {
	for _, tt := range []struct {
		text    string
		status  int // 0: nobody there
		outcome delivery.Outcome
	}{
		{"conn,timeout,408,425,429,5xx", 401, delivery.OutcomeFailed},
		{"conn,timeout,408,425,429,5xx", 503, delivery.OutcomeRetry},
		{"conn,timeout,408,425,429,5xx", 0, delivery.OutcomeRetry},
		{"5xx,401", 401, delivery.OutcomeRetry},
		{"5xx,401", 403, delivery.OutcomeFailed},
		{"5xx", 0, delivery.OutcomeFailed},
		{"5xx", 429, delivery.OutcomeRetry}, // it asks for that
		{"5xx", 302, delivery.OutcomeFailed},
		{"3xx,4xx,5xx", 410, delivery.OutcomeFailed}, // it asks for that too
		{"4xx", 500, delivery.OutcomeFailed},
		{" CONN , 4XX ", 404, delivery.OutcomeRetry},
	} {
		on, err := forward.ParseRetryOn(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		url := "http://127.0.0.1:1/"
		if tt.status != 0 {
			url = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) })
		}
		a, err := newForward(t, forward.Config{URL: url, RetryOn: on}).Deliver(t.Context(), newTask())
		if err != nil || a.Outcome != tt.outcome {
			t.Errorf("%s, %d: %s, %v; want %s", tt.text, tt.status, a.Outcome, err, tt.outcome)
		}
	}
	for _, text := range []string{"", "sometimes", "2xx", "6xx", "5x", "200", "600", "conn;timeout"} {
		if _, err := forward.ParseRetryOn(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// TestUnavailable: only what is about the application, not about the event,
// slows the work for it.
func TestUnavailable(t *testing.T) {
	for status, want := range map[int]bool{200: false, 400: false, 500: false, 429: true, 502: true, 503: true, 504: true, 0: true} {
		url := "http://127.0.0.1:1/"
		if status != 0 {
			url = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		}
		a, err := newForward(t, forward.Config{URL: url}).Deliver(t.Context(), newTask())
		if err != nil || a.Unavailable != want {
			t.Errorf("%d: unavailable %v, %v; want %v", status, a.Unavailable, err, want)
		}
	}
	// Nor does a sidecar that stops say anything about it.
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
		cancel()
		<-r.Context().Done()
	})
	if a, err := newForward(t, forward.Config{URL: url}).Deliver(ctx, newTask()); err != nil || a.Unavailable {
		t.Errorf("cancelled: %+v, %v", a, err)
	}
}
