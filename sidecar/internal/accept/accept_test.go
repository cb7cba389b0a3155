package accept_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// fixture is a running Server on a real store.
type fixture struct {
	url    string
	signer *webhooktest.Signer
	store  store.Store
	log    *bytes.Buffer // read it after stop
	stop   func()

	mu    sync.Mutex
	woken []string
}

// start runs a Server whose store may be wrapped.
func start(t *testing.T, wrap func(accept.Store) accept.Store) *fixture {
	t.Helper()
	return startWithin(t, 30*time.Second, wrap) // a budget that a busy machine keeps
}

func startWithin(t *testing.T, ackBudget time.Duration, wrap func(accept.Store) accept.Store) *fixture {
	t.Helper()
	return startWith(t, func(cfg *accept.Config) {
		cfg.AckBudget = ackBudget
		if wrap != nil {
			cfg.Store = wrap(cfg.Store)
		}
	})
}

// startWith runs a Server with a configuration that a test has changed.
func startWith(t *testing.T, change func(*accept.Config)) *fixture {
	t.Helper()
	return startServer(t, func(*accept.Server) {}, change)
}

// startServer is startWith for a test that needs the Server itself.
func startServer(t *testing.T, take func(*accept.Server), change func(*accept.Config)) *fixture {
	t.Helper()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir(), Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{url: "http://" + listener.Addr().String(), signer: webhooktest.NewSigner(), store: db, log: &log}
	health := telemetry.NewHealth(nil)
	health.SetReady(true)
	cfg := accept.Config{
		Listener: listener,
		Paths:    []string{"/webhooks", "/other"},
		Verifier: &webhook.Verifier{Keys: f.signer.Keys()},
		Store:    db,
		Route:    func(string) []string { return []string{"plugin:a"} },
		Wake: func(targets []string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.woken = append(f.woken, targets...)
		},
		Health: health,
		Log:    logger,
	}
	change(&cfg)
	s, err := accept.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	take(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		f.stop()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// send POSTs a signed body and returns the response with its body read.
func (f *fixture) send(t *testing.T, path string, body []byte) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, f.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	f.signer.Sign(req.Header, time.Now(), body)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(answer)
}

func TestAcceptedEventIsStoredWhole(t *testing.T) {
	f := start(t, nil)
	body := webhooktest.Sample("message.received")
	res, answer := f.send(t, "/other", body)
	if res.StatusCode != 200 || answer != "" {
		t.Fatalf("answered %d %q, want 200 and nothing", res.StatusCode, answer)
	}
	d, err := f.store.Delivery(t.Context(), "B9F1C7F0-3D52-4F60-8A1E-6F6B0F3F7C21")
	if err != nil {
		t.Fatal(err)
	}
	e := d.Event
	if !bytes.Equal(e.Body, body) || e.Type != "message.received" || e.KeyLabel != "test" || e.Path != "/other" ||
		e.Method != "POST" || e.RemoteAddr == "" || time.Since(e.SignedAt) > time.Minute || e.OccurredAt != "2026-03-04T09:14:02.118+00:00" {
		t.Errorf("stored %+v", e)
	}
	payload := e.Body[e.PayloadOff : e.PayloadOff+e.PayloadLen]
	if !bytes.HasPrefix(payload, []byte("{\n      \"autoresponse_type\"")) || !bytes.HasSuffix(payload, []byte("}")) {
		t.Errorf("the payload is not where the event says: %q", payload)
	}
	if len(d.Jobs) != 1 || d.Jobs[0].Target != "plugin:a" || len(f.woken) != 1 {
		t.Errorf("jobs %+v, woken %v", d.Jobs, f.woken)
	}

	if res, _ := f.send(t, "/webhooks", body); res.StatusCode != 200 {
		t.Errorf("duplicate answered %d, want 200", res.StatusCode)
	}
	if d, err := f.store.Delivery(t.Context(), e.ID); err != nil || d.Event.Duplicates != 1 || len(d.Jobs) != 1 {
		t.Errorf("after a duplicate: %+v, %v", d, err)
	}
	if len(f.woken) != 1 {
		t.Errorf("a duplicate woke %v", f.woken[1:])
	}
}

func TestBodyOfAnyShapeIsStored(t *testing.T) {
	f := start(t, nil)
	for _, body := range []string{"", "x", "[1]", `{"a":1}`, "a=b&c=d", "\xff\xfe", `{"data":{"id":"1","id":"2"}}`} {
		if res, answer := f.send(t, "/webhooks", []byte(body)); res.StatusCode != 200 {
			t.Errorf("%q: %d %s", body, res.StatusCode, answer)
		}
	}
	backlog, err := f.store.Backlog(t.Context())
	if err != nil || backlog["plugin:a"] != 7 {
		t.Errorf("backlog %v, %v; want 7", backlog, err)
	}
}

// faultyStore fails Accept before or after the write.
type faultyStore struct {
	accept.Store
	afterwards bool
	failing    bool
}

func (s *faultyStore) Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error) {
	if !s.failing {
		return s.Store.Accept(ctx, e, targets)
	}
	if s.afterwards {
		if _, err := s.Store.Accept(ctx, e, targets); err != nil {
			return store.Accepted{}, err
		}
	}
	return store.Accepted{}, errors.New("disk I/O error: secret/path")
}

// TestFailingStore: our trouble is a 503 that Telnyx retries, and the retry is
// one event, whether the write was lost or had landed all the same.
func TestFailingStore(t *testing.T) {
	for _, landed := range []bool{false, true} {
		faulty := &faultyStore{afterwards: landed, failing: true}
		f := start(t, func(s accept.Store) accept.Store { faulty.Store = s; return faulty })
		body := webhooktest.Sample("call.hangup")
		res, answer := f.send(t, "/webhooks", body)
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || strings.Contains(answer, "secret/path") {
			t.Errorf("landed %v: answered %d %q, want a 503 without details", landed, res.StatusCode, answer)
		}
		if len(f.woken) != 0 {
			t.Errorf("landed %v: woke %v for an event that was not acknowledged", landed, f.woken)
		}
		faulty.failing = false
		if res, _ := f.send(t, "/webhooks", body); res.StatusCode != 200 {
			t.Errorf("landed %v: the retry was answered %d", landed, res.StatusCode)
		}
		backlog, err := f.store.Backlog(t.Context())
		if err != nil || backlog["plugin:a"] != 1 {
			t.Errorf("landed %v: backlog %v, %v; want one job", landed, backlog, err)
		}
		f.stop()
		if !strings.Contains(f.log.String(), "disk I/O error") {
			t.Errorf("the log does not name the cause:\n%s", f.log)
		}
	}
}

// stuckStore never answers by itself.
type stuckStore struct{ accept.Store }

func (stuckStore) Accept(ctx context.Context, _ *delivery.Event, _ []string) (store.Accepted, error) {
	<-ctx.Done()
	return store.Accepted{}, ctx.Err()
}

// TestStuckStoreSpendsTheBudgetOnly: Telnyx hears in time that it should send
// again. The dispatcher looks as well: a commit that was under way may have
// been made after all.
func TestStuckStoreSpendsTheBudgetOnly(t *testing.T) {
	f := startWithin(t, 50*time.Millisecond, func(s accept.Store) accept.Store { return stuckStore{s} })
	done := make(chan int, 1)
	go func() {
		res, _ := f.send(t, "/webhooks", webhooktest.Sample("call.hangup"))
		done <- res.StatusCode
	}()
	select {
	case status := <-done:
		if status != 503 {
			t.Errorf("answered %d, want 503", status)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no answer: the budget has no end")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.woken) != 1 {
		t.Errorf("woke %v, want the target of the event that may be stored", f.woken)
	}
}

// leftStore has its sender hang up before it writes.
type leftStore struct {
	accept.Store
	hangUp func()
}

func (s leftStore) Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error) {
	s.hangUp()
	select {
	case <-ctx.Done(): // it must not be
	case <-time.After(200 * time.Millisecond): // for the server to notice
	}
	return s.Store.Accept(ctx, e, targets)
}

// TestEventOfASenderWhoHungUpIsStored: it was sent whole, and is on disk when it
// is sent again.
func TestEventOfASenderWhoHungUpIsStored(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	f := start(t, func(s accept.Store) accept.Store { return leftStore{s, hangUp} })
	body := webhooktest.Sample("call.hangup")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+"/webhooks", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	f.signer.Sign(req.Header, time.Now(), body)
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Fatalf("answered %d before it hung up", res.StatusCode)
	}
	f.stop() // and so the request has ended
	if backlog, err := f.store.Backlog(t.Context()); err != nil || backlog["plugin:a"] != 1 {
		t.Errorf("backlog %v, %v; want the event\n%s", backlog, err, f.log)
	}
}

func TestRejectionIsLoggedAndNotStored(t *testing.T) {
	f := start(t, nil)
	req := httptest.NewRequest(http.MethodPost, f.url+"/webhooks", strings.NewReader(`{"a":1}`))
	req.RequestURI = ""
	webhooktest.NewSigner().Sign(req.Header, time.Now(), []byte(`{"a":1}`))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("answered %d, want 401", res.StatusCode)
	}
	if res, _ := f.send(t, "/elsewhere", nil); res.StatusCode != 404 {
		t.Errorf("unknown path answered %d, want 404", res.StatusCode)
	}
	if backlog, err := f.store.Backlog(t.Context()); err != nil || len(backlog) != 0 {
		t.Errorf("backlog %v, %v", backlog, err)
	}
	f.stop()
	if !strings.Contains(f.log.String(), "reason=bad_signature status=401") {
		t.Errorf("log:\n%s", f.log)
	}
}

func TestBadPathsAreRefused(t *testing.T) {
	for _, paths := range [][]string{nil, {"webhooks"}, {"/a", "/a"}, {"/readyz"}, {"/{id}"}} {
		_, err := accept.New(accept.Config{
			Listener: new(net.TCPListener), Paths: paths, Verifier: new(webhook.Verifier), Store: new(faultyStore),
			Route: func(string) []string { return nil }, Wake: func([]string) {},
			Health: telemetry.NewHealth(nil), Log: slog.New(slog.DiscardHandler),
		})
		if err == nil {
			t.Errorf("paths %q were accepted", paths)
		}
	}
}

// TestSetVerifier: a rotated key, and another limit, hold from the next request
// on, without a new listener.
func TestSetVerifier(t *testing.T) {
	var server *accept.Server
	f := startServer(t, func(s *accept.Server) { server = s }, func(*accept.Config) {})
	if res, _ := f.send(t, "/webhooks", []byte(`{"data":{"id":"1"}}`)); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	next := webhooktest.NewSigner()
	v := &webhook.Verifier{Keys: next.Keys(), MaxBody: 100}
	server.SetVerifier(v)
	if server.Verifier() != v {
		t.Error("Verifier is another one")
	}
	if res, _ := f.send(t, "/webhooks", []byte(`{"data":{"id":"2"}}`)); res.StatusCode != 401 {
		t.Errorf("the old key after the rotation: %s", res.Status)
	}
	f.signer = next
	if res, _ := f.send(t, "/webhooks", []byte(`{"data":{"id":"3"}}`)); res.StatusCode != 200 {
		t.Errorf("the new key after the rotation: %s", res.Status)
	}
	if res, _ := f.send(t, "/webhooks", bytes.Repeat([]byte(" "), 101)); res.StatusCode != 413 {
		t.Errorf("a body over the new limit: %s", res.Status)
	}
	f.stop()
	if !strings.Contains(f.log.String(), "request rejected") {
		t.Error("what the new verifier rejects is not logged")
	}
}
