package adminapi_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// fixture is an API on a real store, whose answers are held to openapi.json.
type fixture struct {
	store  *sqlite.DB
	cfg    adminapi.Config
	api    *adminapi.API
	spec   *openapi3.T
	router routers.Router
	met    map[string]bool // operations of the file that were answered well

	feed    *live.Feed
	rejects *live.Rejects
	signer  *webhook.KeyRing
	private ed25519.PrivateKey
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	f := &fixture{store: db, met: make(map[string]bool), feed: live.NewFeed(8), rejects: new(live.Rejects)}
	f.private = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	f.signer, err = webhook.NewKeyRing(webhook.Key{Label: "prod", Public: f.private.Public().(ed25519.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	f.cfg = adminapi.Config{
		Store: db, Targets: func() []string { return []string{target, "plugin:new"} }, Plugins: newPlugins(t), Token: "t0ken",
		Feed: f.feed, Rejects: f.rejects, Verify: (&webhook.Verifier{Keys: f.signer}).ExplainAt,
		Status: func(context.Context) (adminapi.Status, error) {
			now := time.Now()
			return adminapi.Status{
				Warnings: []string{},
				Version:  "1", Ready: true, StartedAt: &now, Keys: []string{"prod"},
				Targets: []adminapi.TargetStatus{{Target: target, Dead: 1}},
				Plugins: []adminapi.PluginStatus{{Name: "crm", State: "ready"}},
			}, nil
		},
		Settings: func() []adminapi.Setting { return nil },
		Reload:   func(context.Context) (adminapi.Reloaded, error) { return adminapi.Reloaded{}, nil },
		TestAlert: func(context.Context) (adminapi.AlertTest, error) {
			return adminapi.AlertTest{OK: true, Format: "slack", Status: 200, Answer: "ok", TookSeconds: 0.1}, nil
		},
		Warnings: func() []adminapi.Warning {
			return []adminapi.Warning{{Time: time.Now(), Level: "WARN", Message: "the disk is nearly full", Attrs: map[string]string{"code": "disk-low"}}}
		},
	}
	f.api, err = adminapi.New(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.spec, err = openapi3.NewLoader().LoadFromFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	f.router, err = gorillamux.NewRouter(f.spec)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// event stores an event and brings it to an end, or leaves it pending.
func (f *fixture) event(t *testing.T, n int, kind string, outcome delivery.Outcome) string {
	t.Helper()
	id := fmt.Sprintf("%08d-0000-4000-8000-00000000abcd", n)
	e := &delivery.Event{Key: id, ID: id, Type: kind, ReceivedAt: time.Now(), PayloadLen: -1, Method: "POST",
		Header: [][2]string{{"Content-Type", "application/json"}}, Body: fmt.Appendf(nil, `{"n":  %d}`, n)}
	if _, err := f.store.Accept(t.Context(), e, []string{target}); err != nil {
		t.Fatal(err)
	}
	if outcome == "" {
		return id
	}
	tasks, err := f.store.Claim(t.Context(), target, time.Now(), 1)
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	a := delivery.Attempt{JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, N: 1, Target: target, Outcome: outcome, StartedAt: time.Now(), FinishedAt: time.Now(), ResponseStatus: 200}
	if outcome != delivery.OutcomeDone {
		a.ResponseStatus, a.ErrorCodes, a.Error = 410, []int{75499}, "gone"
	}
	state, due := delivery.Next(tasks[0].Job, a, delivery.Policy{}, 0)
	if err := f.store.Finish(t.Context(), a, state, due); err != nil {
		t.Fatal(err)
	}
	return id
}

// call sends a request, checks the answer against openapi.json and its status,
// and returns the body.
func (f *fixture) call(t *testing.T, method, path, body string, want int) []byte {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	f.api.LocalHandler().ServeHTTP(w, req)
	answer := w.Body.Bytes()
	if w.Code != want {
		t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, w.Code, answer, want)
	}
	if want >= 400 {
		var p adminapi.Problem
		if err := json.Unmarshal(answer, &p); err != nil || p.Status != want || p.Detail == "" || !strings.HasPrefix(p.Type, "urn:hookswitch:error:") ||
			w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %s is no problem: %v", method, path, answer, err)
		}
	}
	route, params, err := f.router.FindRoute(req)
	if err != nil {
		if want < 400 {
			t.Errorf("%s %s is not in openapi.json: %v", method, path, err)
		}
		return answer
	}
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if want < 400 {
		req.Body = io.NopCloser(strings.NewReader(body))
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("%s %s %s: accepted, but not by openapi.json: %v", method, path, body, err)
		}
		f.met[method+" "+route.Path] = true
	}
	if strings.HasSuffix(route.Path, "/payload") || strings.HasSuffix(route.Path, "/export") || strings.HasSuffix(route.Path, "/logs") || strings.HasSuffix(route.Path, "/stream") {
		return answer // not JSON
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(answer))})
	if err != nil {
		t.Errorf("%s %s: the answer is not that of openapi.json: %v\n%s", method, path, err, answer)
	}
	return answer
}

func decode[T any](t *testing.T, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}
