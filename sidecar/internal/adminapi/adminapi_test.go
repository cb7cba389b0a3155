package adminapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

const target = "forward:default"

// TestEveryOperation goes through all of openapi.json.
func TestEveryOperation(t *testing.T) {
	f := newFixture(t)
	done := f.event(t, 1, "message.sent", delivery.OutcomeDone)
	dead := f.event(t, 2, "call.hangup", delivery.OutcomeFailed)
	f.event(t, 3, "call.hangup", delivery.OutcomeFailed)
	f.event(t, 4, "fax.received", "")

	f.call(t, "GET", "/api/v1/openapi.json", "", 200)
	if list := decode[struct{ Data []adminapi.Warning }](t, f.call(t, "GET", "/api/v1/warnings", "", 200)).Data; len(list) != 1 || list[0].Attrs["code"] != "disk-low" {
		t.Errorf("warnings %+v", list)
	}
	if s := decode[adminapi.Status](t, f.call(t, "GET", "/api/v1/status", "", 200)); !s.Ready {
		t.Errorf("status %+v", s)
	}
	first := decode[adminapi.EventPage](t, f.call(t, "GET", "/api/v1/events?limit=3", "", 200))
	rest := decode[adminapi.EventPage](t, f.call(t, "GET", "/api/v1/events?limit=3&cursor="+first.NextCursor, "", 200))
	if len(first.Data) != 3 || len(rest.Data) != 1 || rest.Data[0].ID != done || rest.NextCursor != "" {
		t.Errorf("pages of %d and %d events", len(first.Data), len(rest.Data))
	}
	if p := decode[adminapi.EventPage](t, f.call(t, "GET", "/api/v1/events?type=call.*,fax.received&status=dead&since=1h&target="+target, "", 200)); len(p.Data) != 2 {
		t.Errorf("filter found %d events, want 2", len(p.Data))
	}
	e := decode[adminapi.Event](t, f.call(t, "GET", "/api/v1/events/"+dead, "", 200))
	if e.Status != "dead" || len(e.Attempts) != 1 || e.Attempts[0].Error != "gone" || string(e.Body) != `{"n":2}` || e.BodySize != 9 {
		t.Errorf("event %+v", e)
	}
	if body := f.call(t, "GET", "/api/v1/events/"+strings.ToUpper(e.DeliveryID)+"/payload", "", 200); string(body) != `{"n":  2}` {
		t.Errorf("payload %q", body)
	}
	if lines := bytes.Count(f.call(t, "GET", "/api/v1/events/export?type=call.*", "", 200), []byte("\n")); lines != 2 {
		t.Errorf("export has %d lines, want 2", lines)
	}
	if p := decode[adminapi.EventPage](t, f.call(t, "GET", "/api/v1/dead-letters", "", 200)); len(p.Data) != 2 {
		t.Errorf("%d dead letters, want 2", len(p.Data))
	}
	groups := decode[struct{ Data []adminapi.DeadGroup }](t, f.call(t, "GET", "/api/v1/dead-letters/groups", "", 200)).Data
	if len(groups) != 1 || groups[0].Count != 2 || groups[0].ErrorCode != 75499 {
		t.Errorf("groups %+v", groups)
	}
	if p := decode[adminapi.Preview](t, f.call(t, "POST", "/api/v1/replays", `{"types":["call.*"],"dry_run":true}`, 200)); p.Events != 2 {
		t.Errorf("preview %+v", p)
	}
	r := decode[adminapi.Replay](t, f.call(t, "POST", "/api/v1/replays", `{"ids":["`+done+`"],"to":["plugin:new"],"rate":"60/m"}`, 201))
	if r.Total != 1 || r.Rate != 1 || r.State != "running" {
		t.Errorf("replay %+v", r)
	}
	if got := decode[adminapi.Replay](t, f.call(t, "GET", "/api/v1/replays/"+r.ID, "", 200)); got.ID != r.ID {
		t.Errorf("replay %+v", got)
	}
	if got := decode[adminapi.Replay](t, f.call(t, "DELETE", "/api/v1/replays/"+r.ID, "", 200)); got.State != "cancelled" {
		t.Errorf("cancelled %+v", got)
	}
	if list := decode[struct{ Data []adminapi.Replay }](t, f.call(t, "GET", "/api/v1/replays", "", 200)).Data; len(list) != 1 {
		t.Errorf("replays %+v", list)
	}
	f.signatures(t, done)
	f.feed.Close() // ends a stream
	if body := f.call(t, "GET", "/api/v1/stream?type=call.*&status=failed&since=1h", "", 200); !bytes.Contains(body, []byte("event: stopping\n")) {
		t.Errorf("stream %q", body)
	}
	f.call(t, "POST", "/api/v1/retry", `{"all":true,"dry_run":true}`, 200)
	if got := decode[adminapi.Retried](t, f.call(t, "POST", "/api/v1/retry", `{"target":"plugin:none"}`, 200)); got.Retried != 0 || got.Targets == nil {
		t.Errorf("retried %+v, want none, and a list of targets", got)
	}
	f.call(t, "POST", "/api/v1/dead-letters/discard", `{"all":true,"dry_run":true}`, 200)
	if n := decode[map[string]int](t, f.call(t, "POST", "/api/v1/dead-letters/discard", `{"ids":["`+dead+`"]}`, 200))["discarded"]; n != 1 {
		t.Errorf("discarded %d, want 1", n)
	}
	if r := decode[adminapi.Replay](t, f.call(t, "POST", "/api/v1/dead-letters/requeue", `{"all":true,"rate":5}`, 201)); r.Total != 1 {
		t.Errorf("requeue of what is left: %+v", r)
	}
	testPlugins(t, f)
	testConfig(t, f)
	if got := decode[adminapi.AlertTest](t, f.call(t, "POST", "/api/v1/alerts/test", "", 200)); !got.OK || got.Answer != "ok" {
		t.Errorf("alert %+v", got)
	}
	for path, item := range f.spec.Paths.Map() {
		for method := range item.Operations() {
			if !f.met[method+" "+path] {
				t.Errorf("%s %s is in openapi.json and was not answered", method, path)
			}
		}
	}
}

func TestProblems(t *testing.T) {
	f := newFixture(t)
	f.event(t, 1, "call.hangup", delivery.OutcomeFailed)
	for _, tt := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/api/v1/nothing", "", 404, "openapi.json"},
		{"PUT", "/api/v1/events", "", 405, "use GET"},
		{"GET", "/api/v1/dead-letters/discard", "", 405, "use POST"},
		{"GET", "/api/v1/events/nobody", "", 404, "id"},
		{"GET", "/api/v1/events/nobody/payload", "", 404, "id"},
		{"GET", "/api/v1/replays/nobody", "", 404, "id"},
		{"GET", "/api/v1/plugins/nobody", "", 404, "no plugin nobody"},
		{"DELETE", "/api/v1/replays/nobody", "", 404, "id"},
		{"GET", "/api/v1/events?colour=red", "", 400, "colour"},
		{"GET", "/api/v1/events/export?limit=5", "", 400, "limit"},
		{"GET", "/api/v1/events?limit=0", "", 400, "limit"},
		{"GET", "/api/v1/events?limit=1000", "", 400, "200"},
		{"GET", "/api/v1/events?cursor=-1", "", 400, "cursor"},
		{"GET", "/api/v1/events?status=lost", "", 400, "status"},
		{"GET", "/api/v1/events?type=a*b", "", 400, "type"},
		{"GET", "/api/v1/events?since=yesterday", "", 400, "since"},
		{"GET", "/api/v1/events?since=-2h", "", 400, "since"},
		{"GET", "/api/v1/events?since=1d-2h", "", 400, "since"},
		{"GET", "/api/v1/events?since=-1d", "", 400, "since"},
		{"GET", "/api/v1/events?since=1d2d", "", 400, "since"},
		{"GET", "/api/v1/events?since=d", "", 400, "since"},
		{"GET", "/api/v1/events?a=%zz", "", 400, "query"},
		{"GET", "/api/v1/stream?status=lost", "", 400, "accepted"},
		{"GET", "/api/v1/stream?text=hello", "", 400, "export"},
		{"GET", "/api/v1/stream?until=1h", "", 400, "export"},
		{"GET", "/api/v1/stream?type=a*b", "", 400, "type"},
		{"GET", "/api/v1/stream?since=soon", "", 400, "since"},
		{"GET", "/api/v1/stream?limit=1", "", 400, "limit"},
		{"GET", "/api/v1/rejected?limit=1", "", 400, "parameters"},
		{"GET", "/api/v1/rejected/r_nobody", "", 404, "restart"},
		{"POST", "/api/v1/verify", "{}", 400, "either"},
		{"POST", "/api/v1/verify", `{"id":"a","headers":[]}`, 400, "either"},
		{"POST", "/api/v1/verify", `{"id":"nobody"}`, 404, "id"},
		{"POST", "/api/v1/verify", `{"id":"r_nobody"}`, 404, "r_nobody"},
		{"POST", "/api/v1/verify", `{"id":"a","at":"then"}`, 400, "at"},
		{"POST", "/api/v1/replays", "{}", 400, "all"},
		{"POST", "/api/v1/replays", "", 400, "JSON"},
		{"POST", "/api/v1/replays", `{"all":true} {}`, 400, "behind"},
		{"POST", "/api/v1/replays", `{"al":true}`, 400, "al"},
		{"POST", "/api/v1/replays", `{"all":true,"to":["plugin:old"]}`, 422, "plugin:new"},
		{"POST", "/api/v1/replays", `{"all":true,"rate":"fast"}`, 400, "20/s"},
		{"POST", "/api/v1/replays", `{"all":true,"rate":-1}`, 400, "rate"},
		{"POST", "/api/v1/replays?x=1", `{"all":true}`, 400, "parameters"},
		{"POST", "/api/v1/dead-letters/requeue", "{}", 400, "all"},
		{"POST", "/api/v1/dead-letters/requeue", `{"all":true,"to":["plugin:new"]}`, 400, "/api/v1/replays"},
		{"POST", "/api/v1/dead-letters/discard", "{}", 400, "all"},
		{"POST", "/api/v1/retry", "{}", 400, "all"},
		{"POST", "/api/v1/retry", `{"status":"done"}`, 400, "pending or retrying"},
	} {
		if answer := f.call(t, tt.method, tt.path, tt.body, tt.status); !strings.Contains(string(answer), tt.says) {
			t.Errorf("%s %s %s: %s does not say %q", tt.method, tt.path, tt.body, answer, tt.says)
		}
	}
}

func TestTheListenerAsksForTheToken(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		name, token string
		want        int
	}{
		{"without a token", "", 401},
		{"with another", "Bearer t0keN", 401},
		{"with the token", "Bearer t0ken", 200},
	} {
		req := httptest.NewRequest("POST", "/api/v1/dead-letters/discard", strings.NewReader(`{"all":true}`))
		if tt.token != "" {
			req.Header.Set("Authorization", tt.token)
		}
		w := httptest.NewRecorder()
		f.api.Handler().ServeHTTP(w, req)
		if w.Code != tt.want || strings.Contains(w.Body.String(), "t0ken") {
			t.Errorf("%s: %d %s, want %d", tt.name, w.Code, w.Body, tt.want)
		}
	}
}

// TestNewNeedsAll: a field that is not set is noticed before the first request.
func TestNewNeedsAll(t *testing.T) {
	whole := newFixture(t).cfg
	for _, name := range []string{"Store", "Targets", "Plugins", "Feed", "Rejects", "Verify", "Status", "Settings", "Reload"} {
		cfg := whole
		reflect.ValueOf(&cfg).Elem().FieldByName(name).SetZero()
		if _, err := adminapi.New(cfg); err == nil {
			t.Errorf("an API without %s", name)
		}
	}
}

// broken is a store that has trouble.
type broken struct{ store.Store }

func (broken) Events(context.Context, store.Query, int64, int) (store.Page, error) {
	return store.Page{}, errors.New("disk I/O error in /secret/path")
}

func TestTroubleOfTheStoreIsNotShown(t *testing.T) {
	cfg := newFixture(t).cfg
	cfg.Store = broken{}
	api, err := adminapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/events", "/api/v1/events/export"} {
		w := httptest.NewRecorder()
		api.LocalHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 503 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "admin.sock")
	l, err := adminapi.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", fi.Mode(), err)
	}
	if l.Addr().String() != path {
		t.Errorf("it is at %s", l.Addr())
	}
	if _, err := adminapi.ListenSocket(path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second one: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it stays behind: %v", err)
	}
	// The socket of a killed process is replaced.
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err = adminapi.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := adminapi.ListenSocket("/" + strings.Repeat("x", 200)); err == nil || !strings.Contains(err.Error(), "200") && !strings.Contains(err.Error(), "201") {
		t.Errorf("a long path: %v", err)
	}
}

func FuzzParseFilter(f *testing.F) {
	f.Add("status=dead type=message.* since=2h")
	f.Add("id=a,b text==")
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := adminapi.ParseFilter(text)
		if err == nil && strings.TrimSpace(text) != "" && fmt.Sprint(filter) == fmt.Sprint(adminapi.Filter{}) && !strings.Contains(text, "=") {
			t.Errorf("%q selects everything", text)
		}
	})
}

// TestReadOnly: read-only access allows dry runs, and no changes.
func TestReadOnly(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		method, path, body string
		allowed            bool
	}{
		{"GET", "/api/v1/events", "", true},
		{"POST", "/api/v1/replays", `{"all":true,"dry_run":true}`, true},
		{"POST", "/api/v1/replays", `{"all":true}`, false},
		{"DELETE", "/api/v1/replays/1", "", false},
		{"POST", "/api/v1/dead-letters/requeue", `{"all":true,"dry_run":true}`, true},
		{"POST", "/api/v1/dead-letters/requeue", `{"all":true}`, false},
		{"POST", "/api/v1/dead-letters/discard", `{"all":true,"dry_run":true}`, true},
		{"POST", "/api/v1/dead-letters/discard", `{"all":true}`, false},
		{"POST", "/api/v1/retry", `{"all":true,"dry_run":true}`, true},
		{"POST", "/api/v1/retry", `{"all":true}`, false},
		{"POST", "/api/v1/reload", "", false},
		{"POST", "/api/v1/plugins/x/disable", "", false},
		{"POST", "/api/v1/verify", `{"event":"nobody"}`, true},
	} {
		r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
		if tt.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		f.api.LocalHandler().ServeHTTP(w, adminapi.ReadOnly(r))
		if refused := w.Code == 403 && strings.Contains(w.Body.String(), "read-only"); refused == tt.allowed {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, w.Code, w.Body)
		}
	}
}
