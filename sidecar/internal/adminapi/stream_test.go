package adminapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

// signatures explains one that the sidecar has rejected, one that it has let
// in, and one that it is given.
func (f *fixture) signatures(t *testing.T, stored string) {
	t.Helper()
	body := []byte(`{"a": 1}`)
	at := time.Now().Add(-10 * time.Minute)
	timestamp, signature := webhook.Sign(f.private, at, body)
	headers := [][2]string{{webhook.HeaderTimestamp, timestamp}, {webhook.HeaderSignature, signature}}
	id := f.rejects.Add(live.Request{At: time.Now(), Status: 401, Reason: "too_old", Method: "POST", Header: headers, Body: body, Whole: true})
	bare := f.rejects.Add(live.Request{At: time.Now(), Status: 413, Reason: "too_large"})

	if list := decode[struct{ Data []adminapi.Rejected }](t, f.call(t, "GET", "/api/v1/rejected", "", 200)).Data; len(list) != 2 || list[1].ID != id || list[1].Body != nil {
		t.Errorf("rejected %+v", list)
	}
	if got := decode[adminapi.Rejected](t, f.call(t, "GET", "/api/v1/rejected/"+id[:7], "", 200)); string(got.Body) != string(body) || len(got.Headers) != 2 {
		t.Errorf("rejected %+v", got)
	}
	f.call(t, "GET", "/api/v1/rejected/r_", "", 404)

	explain := func(request string, want int) adminapi.Verification {
		t.Helper()
		return decode[adminapi.Verification](t, f.call(t, "POST", "/api/v1/verify", request, want))
	}
	if v := explain(`{"id":"`+id+`"}`, 200); v.Valid || !strings.Contains(v.Cause, "late") {
		t.Errorf("as it was received: %+v", v)
	}
	if v := explain(`{"id":"`+id+`","at":"10m"}`, 200); !v.Valid {
		t.Errorf("at the time of its signature: %+v", v)
	}
	explain(`{"id":"`+bare+`"}`, 422)
	if v := explain(`{"id":"`+stored+`"}`, 200); v.Valid || !strings.Contains(v.Cause, "removed or renamed") {
		t.Errorf("an event without a signature: %+v", v)
	}
	h, err := json.Marshal(headers)
	if err != nil {
		t.Fatal(err)
	}
	given := fmt.Sprintf(`{"headers":%s,"body_base64":"%s","at":"10m"}`, h, base64.StdEncoding.EncodeToString(body))
	if v := explain(given, 200); !v.Valid || len(v.Steps) == 0 {
		t.Errorf("one that is given: %+v", v)
	}
}

// reader is a client of a stream that takes its time.
type reader struct {
	http.ResponseWriter
	mu    sync.Mutex // guards the text
	text  strings.Builder
	slow  chan struct{} // a write waits until it is closed; nil: none does
	stuck chan struct{} // closed by the first write that waits
}

func (r *reader) Write(p []byte) (int, error) {
	if r.slow != nil && strings.Contains(string(p), "data:") {
		if r.stuck != nil {
			close(r.stuck)
			r.stuck = nil
		}
		<-r.slow
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *reader) Flush() {}

func (r *reader) read() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// watch serves a stream to r until the stop function is called.
func (f *fixture) watch(t *testing.T, r *reader, query, position string) (stop func()) {
	r.ResponseWriter = httptest.NewRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	req := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/stream"+query, nil)
	if position != "" {
		req.Header.Set("Last-Event-ID", position)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.api.LocalHandler().ServeHTTP(r, req)
	}()
	return func() { cancel(); <-done }
}

func message(kind, id string) live.Message {
	m := live.Message{Kind: kind, ID: id, At: time.Now(), Type: "call.hangup"}
	switch kind {
	case live.Accepted:
		m.Targets = []string{target}
	case live.Tried:
		m.Target, m.State = target, "pending"
	}
	return m
}

func TestStream(t *testing.T) {
	f := newFixture(t) // its store has goroutines of its own, outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		var all, failed, calls, none reader
		stopAll := f.watch(t, &all, "", "")
		defer f.watch(t, &failed, "?status=failed&target="+target, "")()
		defer f.watch(t, &calls, "?id=AAAA&type=call.*", "")()
		defer f.watch(t, &none, "?type=fax.*", "")()
		synctest.Wait()
		f.feed.Publish(message(live.Accepted, "aaaa-1"))
		f.feed.Publish(message(live.Rejected, "r_bbbb"))
		f.feed.Publish(message(live.Tried, "aaaa-1"))
		time.Sleep(time.Second)
		synctest.Wait()
		for _, tt := range []struct {
			name string
			r    *reader
			want int
		}{{"all", &all, 3}, {"failed at a target", &failed, 1}, {"by id and type", &calls, 2}, {"of another type", &none, 0}} {
			if got := strings.Count(tt.r.read(), "\ndata: "); got != tt.want {
				t.Errorf("%s: %d messages, want %d:\n%s", tt.name, got, tt.want, tt.r.read())
			}
		}
		if h := all.Header(); h.Get("X-Accel-Buffering") != "no" || h.Get("Content-Type") != "text/event-stream" {
			t.Errorf("headers %v", h)
		}
		time.Sleep(time.Minute) // nothing happens
		if got := strings.Count(none.read(), ": still here"); got != 4 {
			t.Errorf("%d heartbeats in a minute, want 4", got)
		}
		for range 60 { // much happens, and nothing of it is wanted
			f.feed.Publish(message(live.Accepted, "other"))
			time.Sleep(time.Second)
		}
		if got := strings.Count(none.read(), ": still here"); got < 7 || strings.Contains(none.read(), "data: ") {
			t.Errorf("%d heartbeats after a busy minute, want 7 or 8", got)
		}
		if !strings.Contains(none.read(), ": connected\nid: ") {
			t.Error("a stream that breaks before the first message does not say where it was")
		}
		// After a break a connection continues where it was.
		stopAll()
		f.feed.Publish(message(live.Accepted, "cccc"))
		text := all.read()
		position := text[strings.LastIndex(text, "id: ")+4:]
		var again reader
		defer f.watch(t, &again, "", position[:strings.Index(position, "\n")])()
		time.Sleep(time.Second)
		if got := again.read(); strings.Count(got, "\ndata: ") != 1 || !strings.Contains(got, "cccc") {
			t.Errorf("it goes on with:\n%s", got)
		}
	})
}

// TestSlowViewer holds a viewer up and sees that nobody else notices.
func TestSlowViewer(t *testing.T) {
	f := newFixture(t) // remembers 8 messages
	synctest.Test(t, func(t *testing.T) {
		slow := &reader{slow: make(chan struct{}), stuck: make(chan struct{})}
		stuck := slow.stuck
		stop := f.watch(t, slow, "", "")
		synctest.Wait()
		f.feed.Publish(message(live.Accepted, "first"))
		<-stuck
		for i := range 20 {
			f.feed.Publish(message(live.Accepted, fmt.Sprint("next-", i))) // does not wait
		}
		close(slow.slow)
		time.Sleep(time.Second)
		f.feed.Close() // and all streams end
		synctest.Wait()
		got := slow.read()
		if !strings.Contains(got, `"lost":12`) || strings.Contains(got, "next-11") || !strings.Contains(got, "next-12") || !strings.HasSuffix(got, "\n\n") {
			t.Errorf("it was sent:\n%s", got)
		}
		if !strings.Contains(got, "event: stopping\n") {
			t.Errorf("it does not end:\n%s", got)
		}
		stop()
	})
}

// TestTooManyViewers: a refused viewer takes nobody's place.
func TestTooManyViewers(t *testing.T) {
	f := newFixture(t)
	synctest.Test(t, func(t *testing.T) {
		stop := f.watch(t, new(reader), "", "")
		for range 63 {
			defer f.watch(t, new(reader), "", "")()
		}
		synctest.Wait()
		for range 3 {
			f.call(t, "GET", "/api/v1/stream", "", 503)
		}
		stop()
		var next reader
		defer f.watch(t, &next, "", "")()
		synctest.Wait()
		if got := next.read(); !strings.Contains(got, ": connected") {
			t.Errorf("a viewer has gone, and the next one is told %q", got)
		}
	})
}
