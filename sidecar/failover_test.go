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

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// ledger is an app that records the events it gets. It answers when told to.
type ledger struct {
	mu     sync.Mutex
	got    map[string]int // guarded by mu: event id → times
	answer chan struct{}  // closed when it may answer
}

func newLedger(t *testing.T) (*ledger, string) {
	l := &ledger{got: make(map[string]int), answer: make(chan struct{})}
	app := httptest.NewServer(l)
	t.Cleanup(app.Close)
	return l, app.URL
}

func (l *ledger) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	l.mu.Lock()
	l.got[webhook.Decode("application/json", body).ID]++
	l.mu.Unlock()
	select {
	case <-l.answer:
	case <-req.Context().Done():
	}
}

func (l *ledger) times(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got[id]
}

func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.got)
}

// push sends an event until it is accepted, as Telnyx would, and returns its id.
func push(r *running) string {
	r.t.Helper()
	id := uuid.NewString()
	body := fmt.Appendf(nil, `{"data":{"record_type":"event","id":%q,"event_type":"message.received","payload":{}}}`, id)
	r.eventually("acceptance", func() bool { return r.post(body, nil) == 200 })
	return id
}

// TestEdgeFailover promotes a standby that has not got the latest events while
// they are under way. The new primary gives their numbers to the events that
// come next: results of the old ones must not be taken for theirs.
func TestEdgeFailover(t *testing.T) {
	edges.Need(t)
	rounds := 1
	if edges.Long() {
		rounds = 5
	}
	for range rounds {
		failover(t)
	}
}

func failover(t *testing.T) {
	const inFlight, more = 100, 140 // a sequence is logged 32 numbers ahead
	primary := pgtest.Start(t)
	database := primary.Database(t)
	standby := primary.Standby(t, "standby")
	app, url := newLedger(t)
	join := func(c *config.Config) {
		c.Store, c.DataDir, c.PluginDir = pgtest.Either(t, database, primary, standby), t.TempDir(), ""
		c.ForwardTo, c.Concurrency = url, inFlight
		c.RetrySchedule = nil
	}
	r := start(t, join)
	if _, text := r.get("/api/v1/status"); !strings.Contains(text, "has standbys (1) and none is synchronous") {
		t.Errorf("the status does not warn of a standby that is asynchronous: %s", text)
	}
	standby.CaughtUp(t, primary)
	standby.CutOff(t)
	var old []string
	for range inFlight {
		old = append(old, push(r))
	}
	r.eventually("all under way", func() bool { return app.size() == inFlight })

	primary.Kill()
	standby.Promote(t)
	var accepted []string
	for range more {
		accepted = append(accepted, push(r))
	}
	close(app.answer)

	state := func(id string) string {
		status, text := r.get("/api/v1/events/" + id)
		if status == http.StatusNotFound {
			return "unknown"
		}
		var e struct {
			Jobs []struct {
				State string `json:"state"`
			} `json:"jobs"`
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil || len(e.Jobs) != 1 {
			t.Fatalf("event: %d %s", status, text)
		}
		return e.Jobs[0].State
	}
	r.eventually("an end of each that the new primary accepted", func() bool {
		for _, id := range accepted {
			if state(id) == "pending" {
				return false
			}
		}
		return true
	})
	unsent := 0
	for _, id := range accepted {
		if s := state(id); s != "done" || app.times(id) == 0 {
			unsent++
			t.Errorf("event %s is %s, and the app got it %d times", id, s, app.times(id))
		}
	}
	lost := 0
	for _, id := range old {
		if state(id) == "unknown" {
			lost++
		}
	}
	stale := len(r.log.with(`"code":"result-stale"`))
	t.Logf("%d of %d that were under way are unknown to the new primary, %d results were dropped; %d of %d done without having been sent", lost, inFlight, stale, unsent, more)
	if lost != inFlight || stale != inFlight {
		t.Errorf("the failover lost %d events and %d results were dropped: nothing was tried", lost, stale)
	}
	r.eventually("word of the other history", func() bool {
		return len(r.log.with(`"code":"store-renewed"`)) > 0
	})
	if n := len(r.log.with("the database is not the same as before")); n != 1 {
		t.Errorf("the new history was reported %d times", n)
	}
	r.stop()
}
