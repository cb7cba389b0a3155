package adminapi_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// TestBodiesOfAnyDepthAreShown: a body that is nested so deep that it cannot be a
// part of an answer is left out of it, and its payload is served; an export continues.
func TestBodiesOfAnyDepthAreShown(t *testing.T) {
	f := newFixture(t)
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer t0ken")
		w := httptest.NewRecorder()
		f.api.Handler().ServeHTTP(w, r)
		return w
	}
	depths := []int{1, 8990, 9990, 9998, 9999, 10000, 10001}
	for _, depth := range depths {
		id := fmt.Sprintf("depth-%d", depth)
		body := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		e := &delivery.Event{Key: id, ID: id, Type: "message.sent", ReceivedAt: time.Now(), PayloadLen: -1, Method: "POST", Body: []byte(body)}
		if _, err := f.store.Accept(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
		w := get("/api/v1/events/" + id)
		var got struct {
			Body     json.RawMessage `json:"body"`
			BodySize int             `json:"body_size"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.BodySize != len(body) {
			t.Fatalf("depth %d: status %d, size %d, %v", depth, w.Code, got.BodySize, err)
		}
		if shown := len(got.Body) > 0; shown != (depth <= 9000) {
			t.Errorf("depth %d: the body is shown: %v", depth, shown)
		}
		if w := get("/api/v1/events/" + id + "/payload"); w.Code != 200 || w.Body.String() != body {
			t.Errorf("depth %d: the payload has status %d and %d bytes", depth, w.Code, w.Body.Len())
		}
	}
	w := get("/api/v1/events/export")
	if lines := strings.Count(w.Body.String(), "\n"); w.Code != 200 || lines != len(depths) {
		t.Errorf("the export has status %d and %d events: %.200s", w.Code, lines, w.Body)
	}
}
