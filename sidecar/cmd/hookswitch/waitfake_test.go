package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

// fakeSidecar answers as the admin API does, without a network. It keeps lists in
// pages of two.
type fakeSidecar struct {
	t      *testing.T
	before func(n int, path string) // called before the n-th request is answered, from 1
	after  func(n int, path string) // called when the answer is made and not yet read

	mu       sync.Mutex
	n        int
	down     bool
	events   []adminapi.Event
	bodies   map[string]string
	removed  map[string]bool
	rejected []adminapi.Rejected
	viewers  []chan live.Message
}

func (f *fakeSidecar) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.n++
	n := f.n
	f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/v1")
	if f.before != nil {
		f.before(n, path)
	}
	switch {
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	case f.isDown():
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	var res *http.Response
	if path == "/stream" {
		w.Header().Set("Content-Type", "text/event-stream")
		res = w.Result()
		res.Body = f.watch(r.Context())
	} else {
		f.answer(w, r, path)
		res = w.Result()
	}
	if f.after != nil {
		f.after(n, path)
	}
	return res, nil
}

func (f *fakeSidecar) isDown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

func (f *fakeSidecar) answer(w http.ResponseWriter, r *http.Request, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	part := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case path == "/rejected":
		_ = json.NewEncoder(w).Encode(map[string]any{"data": f.rejected})
	case path == "/replays":
		_ = json.NewEncoder(w).Encode(adminapi.Preview{Types: map[string]int{"call.hangup": 9, "call.answered": 2, "fax.received": 7}})
	case path == "/events":
		_ = json.NewEncoder(w).Encode(f.page(r))
	case part[0] != "events" || f.find(part[1]) == nil:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"detail":"nothing here has this id"}`)
	case len(part) == 3:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, f.bodies[part[1]])
	default:
		_ = json.NewEncoder(w).Encode(f.find(part[1]))
	}
}

func (f *fakeSidecar) find(id string) *adminapi.Event {
	for _, e := range f.events {
		if (e.ID == id || e.DeliveryID == id) && !f.removed[id] {
			return &e
		}
	}
	return nil
}

// page returns two of the events that were received since a time, newest first.
func (f *fakeSidecar) page(r *http.Request) (p adminapi.EventPage) {
	query := r.URL.Query()
	since, err := time.Parse(time.RFC3339, query.Get("since"))
	if err != nil && query.Has("since") {
		d, err := time.ParseDuration(query.Get("since"))
		if err != nil {
			f.t.Errorf("since=%s", query.Get("since"))
		}
		since = time.Now().Add(-d)
	}
	end := len(f.events)
	if n, err := strconv.Atoi(query.Get("cursor")); err == nil {
		end = n
	}
	for i, e := range slices.Backward(f.events[:end]) {
		if len(p.Data) == 2 {
			p.NextCursor = strconv.Itoa(i + 1)
			break
		}
		if !e.ReceivedAt.Before(since) {
			p.Data = append(p.Data, e)
		}
	}
	return p
}

// watch returns the stream of a new viewer.
func (f *fakeSidecar) watch(ctx context.Context) io.ReadCloser {
	messages := make(chan live.Message, 100)
	f.mu.Lock()
	f.viewers = append(f.viewers, messages)
	f.mu.Unlock()
	r, w := io.Pipe()
	go func() {
		fmt.Fprint(w, ": connected\n\n")
		for {
			select {
			case <-ctx.Done():
				w.CloseWithError(ctx.Err())
				return
			case m, ok := <-messages:
				if !ok {
					w.CloseWithError(io.ErrUnexpectedEOF)
					return
				}
				text, _ := json.Marshal(m)
				fmt.Fprintf(w, "data: %s\n\n", text)
			}
		}
	}()
	return r
}

// stop ends the streams, and answers nothing until start.
func (f *fakeSidecar) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
	for _, v := range f.viewers {
		close(v)
	}
	f.viewers = nil
}

func (f *fakeSidecar) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = false
}

// elsewhere stores an event as another sidecar on the same database does.
func (f *fakeSidecar) elsewhere(id, body string) adminapi.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	e := adminapi.Event{ID: id, DeliveryID: "d-" + id, Type: "call.hangup", ReceivedAt: &now}
	f.events, f.bodies["d-"+id] = append(f.events, e), body
	return e
}

// store stores an event, and tells the viewers.
func (f *fakeSidecar) store(id, body string) {
	e := f.elsewhere(id, body)
	f.tell(live.Message{Kind: live.Accepted, At: *e.ReceivedAt, ID: e.ID, DeliveryID: e.DeliveryID, Type: e.Type})
}

func (f *fakeSidecar) tell(m live.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.viewers {
		v <- m
	}
}
