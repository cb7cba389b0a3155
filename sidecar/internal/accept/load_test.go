package accept

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestLoadIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		length int64
		want   int
	}{
		{"small bodies by their number", 1000, maxRequests},
		{"the largest small body", smallBody, maxRequests},
		{"large bodies by their bytes", 512 << 10, maxLargeBytes / (512 << 10)},
		{"a length that is not known as a megabyte", -1, maxLargeBytes / (1 << 20)},
		{"a length that will be refused as a megabyte", 1 << 40, maxLargeBytes / (1 << 20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := load{most: 1 << 20}
			n := 0
			for l.take(tt.length) {
				n++
			}
			if n != tt.want {
				t.Errorf("admitted %d, want %d", n, tt.want)
			}
			l.give(tt.length)
			if !l.take(tt.length) {
				t.Error("room that was given back is not there")
			}
			for range n {
				l.give(tt.length)
			}
			if l.requests.Load() != 0 || l.large.Load() != 0 {
				t.Errorf("%d requests and %d bytes are left", l.requests.Load(), l.large.Load())
			}
		})
	}
}

// TestLargeBodiesLeaveRoomForSmallOnes: whoever sends large bodies slowly does
// not keep webhooks out.
func TestLargeBodiesLeaveRoomForSmallOnes(t *testing.T) {
	l := load{most: 1 << 20}
	for l.take(1 << 20) {
	}
	if !l.take(1200) {
		t.Error("a webhook was shed")
	}
}

func TestShedding(t *testing.T) {
	s := &Server{cfg: Config{Log: slog.New(slog.DiscardHandler)}}
	h := s.admit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if of(r).arrived.IsZero() {
			t.Error("no time of arrival")
		}
	}))
	send := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/webhooks", strings.NewReader("{}")))
		return w
	}
	if w := send(); w.Code != 200 {
		t.Errorf("answered %d without load", w.Code)
	}
	s.load.requests.Store(maxRequests)
	if w := send(); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("overloaded: answered %d %v, want 503 and when to retry", w.Code, w.Header())
	}
	s.load.requests.Store(0)
	if w := send(); w.Code != 200 {
		t.Errorf("answered %d after the load had gone", w.Code)
	}
	s.load.draining.Store(true)
	if w := send(); w.Code != 503 || w.Header().Get("Connection") != "close" {
		t.Errorf("draining: answered %d %v, want 503 and the connection closed", w.Code, w.Header())
	}
}

// TestIdleConnectionsMakeRoom: connections that say nothing do not keep others
// out, and there are never more than the limit.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const limit = 8
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limits := &conns{max: limit}
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }),
		ConnState: limits.changed,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() { server.Close(); <-served }()

	for range 5 * limit {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for range 3 {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + listener.Addr().String())
		if err != nil {
			t.Fatalf("a client was kept out: %v", err)
		}
		res.Body.Close()
	}
	// The server hears of a closed connection a moment later.
	for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		limits.mu.Lock()
		open := limits.open
		limits.mu.Unlock()
		if open <= limit {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are open, want at most %d", open, limit)
		}
	}
}
