package accept

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
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
			taken := fill(&l, tt.length)
			if len(taken) != tt.want {
				t.Errorf("admitted %d, want %d", len(taken), tt.want)
			}
			l.give(taken[0])
			l.give(taken[0]) // once is enough
			if _, ok := l.take(taken[0], tt.length); !ok {
				t.Error("room that was given back is not there")
			}
			for _, r := range taken {
				l.give(r)
			}
			if l.requests != 0 || l.large != 0 || l.unproven.Len() != 0 {
				t.Errorf("%d requests, %d bytes and %d unproven are left", l.requests, l.large, l.unproven.Len())
			}
		})
	}
}

// fill takes all places of a length, for requests that have proven something.
func fill(l *load, length int64) (taken []*request) {
	for {
		r := &request{stop: func() {}}
		if _, ok := l.take(r, length); !ok {
			return taken
		}
		l.prove(r)
		taken = append(taken, r)
	}
}

// TestLargeBodiesLeaveRoomForSmallOnes: slow senders of large bodies do not keep
// webhooks out.
func TestLargeBodiesLeaveRoomForSmallOnes(t *testing.T) {
	l := load{most: 1 << 20}
	fill(&l, 1<<20)
	if _, ok := l.take(&request{}, 1200); !ok {
		t.Error("a webhook was shed")
	}
}

// TestUnprovenLoseTheirPlaces: the oldest request without a signature goes, and
// its place is free at once.
func TestUnprovenLoseTheirPlaces(t *testing.T) {
	for _, tt := range []struct {
		name   string
		length int64
	}{{"by their number", 10}, {"by their bytes", 1 << 20}} {
		t.Run(tt.name, func(t *testing.T) {
			l := load{most: 1 << 20}
			proven := fill(&l, tt.length)
			var order []int
			var unproven []*request
			small := &request{stop: func() { order = append(order, -1) }}
			if tt.length > smallBody {
				if _, ok := l.take(small, 10); !ok {
					t.Fatal("no room for a small one")
				}
			}
			for i := range 3 {
				l.give(proven[i])
				r := &request{stop: func() { order = append(order, i) }}
				if _, ok := l.take(r, tt.length); !ok {
					t.Fatal("no room")
				}
				unproven = append(unproven, r)
			}
			l.prove(unproven[1])
			for i, want := range []bool{true, true, true} {
				r := &request{stop: func() { order = append(order, 10+i) }}
				shed, ok := l.take(r, tt.length)
				if !shed || ok != want {
					t.Errorf("newcomer %d: shed %t, admitted %t", i, shed, ok)
				}
			}
			if fmt.Sprint(order) != "[0 2 10]" || !unproven[0].shed.Load() || unproven[1].shed.Load() {
				t.Errorf("shed %v, want 0, 2 and the first newcomer", order)
			}
			l.give(unproven[0]) // its place is another's by now
			if tt.length < smallBody && l.requests != maxRequests {
				t.Errorf("%d requests are counted", l.requests)
			}
		})
	}
}

func TestShedding(t *testing.T) {
	s := &Server{cfg: Config{Log: slog.New(slog.DiscardHandler), Health: telemetry.NewHealth(nil)}}
	s.SetProxies(Proxies{})
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
	taken := fill(&s.load, 0)
	if w := send(); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("overloaded: answered %d %v, want 503 and when to retry", w.Code, w.Header())
	}
	for _, r := range taken {
		s.load.give(r)
	}
	if w := send(); w.Code != 200 {
		t.Errorf("answered %d after the load had gone", w.Code)
	}
	s.load.draining.Store(true)
	if w := send(); w.Code != 503 || w.Header().Get("Connection") != "close" {
		t.Errorf("draining: answered %d %v, want 503 and the connection closed", w.Code, w.Header())
	}
}
