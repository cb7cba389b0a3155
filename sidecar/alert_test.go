package sidecar_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// told is an alert as a receiver sees it.
type told struct {
	Alert, State, Summary, Target string
	Count                         int
	Delivery                      struct {
		ID       string
		Status   string
		Webhook  struct{ ID string }
		Attempts []any
	}
}

// TestAlerts: dead letters of a whole sidecar arrive at a real receiver, all of
// them, in a few posts that verify as forwarded requests do.
// What the event says is in them only if that is asked for.
func TestAlerts(t *testing.T) {
	t.Run("outline", func(t *testing.T) { testAlerts(t, false) })
	t.Run("payload", func(t *testing.T) { testAlerts(t, true) })
}

func testAlerts(t *testing.T, payload bool) {
	var mu sync.Mutex
	var posts []told
	var requests []*http.Request
	var bodies [][]byte
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var a told
		if err := json.Unmarshal(body, &a); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		mu.Lock()
		defer mu.Unlock()
		posts, requests, bodies = append(posts, a), append(requests, r), append(bodies, body)
	}))
	defer to.Close()
	r := start(t, func(c *config.Config) {
		c.AlertURL = config.Secret(to.URL + "/hook?token=s3cret")
		c.PluginDir = ""
		c.AlertPayload = payload
	})
	const n = 40
	ids := make(map[string]bool)
	for i := range n {
		id := fmt.Sprintf("refuse me %d", i)
		ids[id] = true
		body := fmt.Appendf(nil, `{"data":{"event_type":"call.hangup","id":"%s","payload":{"from":"+15550100"}}}`, id)
		if status := r.post(body, nil); status != 200 {
			t.Fatalf("answered %d", status)
		}
	}
	r.eventually("dead letters", func() bool {
		_, page := r.get("/metrics")
		return values(page)[`hookswitch_dead_letters_total{target="forward:default"}`] == fmt.Sprint(n)
	})
	r.stop() // which tells of those that were still being gathered
	mu.Lock()
	defer mu.Unlock()
	total := 0
	for i, a := range posts {
		total += a.Count
		if a.Alert != "dead_letters" || a.State != "firing" || a.Target != "forward:default" || !strings.Contains(a.Summary, "410 Gone") {
			t.Errorf("post %d: %+v", i, a)
		}
		record := string(bodies[i])
		if strings.Contains(record, "+15550100") != payload || strings.Contains(record, `"body":"no`) != payload || strings.Contains(a.Summary, "“no”") != payload || strings.Contains(record, "Telnyx-Signature") != payload {
			t.Errorf("post %d: want a payload, a body and headers: %v: %s", i, payload, record)
		}
		if !ids[a.Delivery.Webhook.ID] || a.Delivery.Status != "failed" || len(a.Delivery.Attempts) != 1 {
			t.Errorf("post %d has no delivery record: %s", i, bodies[i])
		}
		keys, err := webhook.ParseKeys(r.forwardKey)
		if err != nil {
			t.Fatal(err)
		}
		v := &webhook.Verifier{Keys: keys}
		if _, err := v.Verify(requests[i].Header, bodies[i]); err != nil {
			t.Errorf("post %d: %v", i, err)
		}
	}
	if total != n || len(posts) > 3 {
		t.Errorf("%d dead letters told in %d posts, want %d in 3 at most", total, len(posts), n)
	}
	if strings.Contains(r.log.String(), "s3cret") {
		t.Error("the log has the URL")
	}
}
