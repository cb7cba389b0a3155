package sidecar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/forward"
)

const testKey = "eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg="

// reloading is a running sidecar whose variables a test can change.
type reloading struct {
	*Sidecar
	mu   sync.Mutex
	vars []string     // guarded by mu
	log  bytes.Buffer // read after stop
	stop func()
}

func (r *reloading) load() (Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, _ := config.From(r.vars)
	return c, c.Validate()
}

func (r *reloading) set(vars ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.vars = append(r.vars, vars...)
}

func startReloading(t *testing.T, vars ...string) *reloading {
	t.Helper()
	dir := t.TempDir()
	r := &reloading{vars: append([]string{"TELNYX_PUBLIC_KEY=" + testKey, "HOOKSWITCH_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0",
		"HOOKSWITCH_STORE=file:" + dir, "HOOKSWITCH_PLUGIN_DIR=" + dir + "/plugins"}, vars...)}
	cfg, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&r.log, nil)) // read after the end
	if r.Sidecar, err = New(t.Context(), cfg, Options{Log: log, Load: r.load}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// TestRoutesAreReplacedAsAWhole: an event is routed by the old configuration or
// by the new one, whenever it comes.
func TestRoutesAreReplacedAsAWhole(t *testing.T) {
	r := startReloading(t, "HOOKSWITCH_FORWARD_TO=http://127.0.0.1:1/", "HOOKSWITCH_ROUTE_0_TO=http://127.0.0.1:1/a", "HOOKSWITCH_ROUTE_0_MATCH=message.*")
	stop, routed := make(chan struct{}), make(chan map[string]int)
	go func() {
		seen := make(map[string]int)
		for {
			select {
			case <-stop:
				routed <- seen
				return
			default:
				seen[strings.Join(r.route("message.sent"), ",")]++
			}
		}
	}()
	for i := range 50 {
		if i%2 == 0 {
			r.set("HOOKSWITCH_ROUTE_0_MATCH=fax.*", "HOOKSWITCH_ROUTE_7_TO=http://127.0.0.1:1/b", "HOOKSWITCH_ROUTE_7_MATCH=message.*")
		} else {
			r.mu.Lock()
			r.vars = r.vars[:len(r.vars)-3]
			r.mu.Unlock()
		}
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for names, n := range <-routed {
		if names != "forward:route0" && names != "forward:route7" {
			t.Errorf("%d events were routed to %q", n, names)
		}
	}
	if got := r.targetNames(); !slices.Equal(got, []string{"forward:default", "forward:route0"}) {
		t.Errorf("targets %q", got)
	}
	gone, err := forward.New(forward.Config{Name: "route7", URL: "http://127.0.0.1:1/b", Sign: forward.Unsigned})
	if err != nil {
		t.Fatal(err)
	}
	if r.dispatch.Replace(gone) == nil {
		t.Error("the dispatcher still has a target that is gone")
	}
}

// TestReloadOfTheForwardKey: alerts are signed with the new key, as forwarded
// requests are, and the operator is told to give it to the app.
func TestReloadOfTheForwardKey(t *testing.T) {
	verified := make(chan error, 10)
	keys := make(chan string, 1)
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		ring, err := webhook.ParseKeys(<-keys)
		if err == nil {
			body, _ := io.ReadAll(req.Body)
			_, err = (&webhook.Verifier{Keys: ring}).Verify(req.Header, body)
		}
		verified <- err
	}))
	defer to.Close()
	r := startReloading(t, "HOOKSWITCH_FORWARD_TO=http://127.0.0.1:1/", "HOOKSWITCH_ALERT_URL="+to.URL)
	before := r.ForwardKey()
	r.set("HOOKSWITCH_FORWARD_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if got := r.reloadConfig(t.Context()); got.Err != nil || !slices.Contains(got.Changed, "HOOKSWITCH_FORWARD_KEY") {
		t.Fatalf("%+v", got)
	}
	after := r.ForwardKey()
	if after == before {
		t.Fatal("the key has not changed")
	}
	keys <- after
	r.observe.alerts.Dead("forward:default", "1", "no")
	if err := <-verified; err != nil {
		t.Errorf("the alert: %v", err)
	}
	r.stop()
	if log := r.log.String(); !strings.Contains(log, `TELNYX_PUBLIC_KEY="`+after) {
		t.Errorf("the log does not have the new key: %s", log)
	}
}

// TestReloadChecksWhatStays: what is good by itself may not fit what takes a
// restart.
func TestReloadChecksWhatStays(t *testing.T) {
	r := startReloading(t, "HOOKSWITCH_ADMIN_LISTEN=:0", "HOOKSWITCH_ADMIN_TOKEN=t0ken")
	r.set("HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:0", "HOOKSWITCH_ADMIN_TOKEN=", "HOOKSWITCH_TIMEOUT=7s")
	r.mu.Lock()
	r.vars = slices.DeleteFunc(r.vars, func(v string) bool { return v == "HOOKSWITCH_ADMIN_TOKEN=t0ken" })
	r.mu.Unlock()
	last := r.reloadConfig(t.Context())
	err := last.Err
	if _, ok := errors.AsType[*config.Error](err); !ok || !strings.Contains(err.Error(), `HOOKSWITCH_ADMIN_LISTEN=":0" can be reached`) {
		t.Errorf("the token was given up: %v", err)
	}
	if c := r.config(); c.AdminToken != "t0ken" || c.Timeout.String() != "30s" {
		t.Errorf("in effect after a refusal: %s", c)
	}
	if last.At.IsZero() {
		t.Errorf("it does not say when: %+v", last)
	}
}

func TestReloadNeedsAWay(t *testing.T) {
	r := startReloading(t)
	r.opts.Load = nil
	if err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot read its configuration again") {
		t.Error(err)
	}
}

// TestAbandonedEventsAreNamed: what waits for a target that was taken away stays,
// is said to wait, and is delivered when the target is back.
func TestAbandonedEventsAreNamed(t *testing.T) {
	r := startReloading(t, "HOOKSWITCH_ROUTE_2_TO=http://127.0.0.1:1/a", "HOOKSWITCH_ROUTE_2_MATCH=message.*", "HOOKSWITCH_RETRY_SCHEDULE=1h")
	e := &delivery.Event{Key: "a", ID: "a", Type: "message.sent", ReceivedAt: time.Now(), PayloadLen: -1}
	if _, err := r.store.Accept(t.Context(), e, r.route(e.Type)); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.vars = slices.DeleteFunc(r.vars, func(v string) bool { return strings.HasPrefix(v, "HOOKSWITCH_ROUTE_") })
	r.mu.Unlock()
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.route(e.Type); len(got) != 0 {
		t.Errorf("routed to %q", got)
	}
	if backlog, err := r.store.Backlog(t.Context()); err != nil || backlog["forward:route2"] != 1 {
		t.Errorf("backlog %v, %v", backlog, err)
	}
	r.stop()
	if !strings.Contains(r.log.String(), "events wait for targets that are not configured") {
		t.Errorf("nothing is said of it: %s", r.log.String())
	}
}
