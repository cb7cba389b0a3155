package proxies

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/internal/testkit/port"
)

// TestRoll replaces two sidecars on one PostgreSQL, one after the other, under load:
// every webhook is answered 200 at its first attempt. HAProxy asks each for its
// readiness, as Kubernetes does, with the lines that haproxy.cfg has for that.
func TestRoll(t *testing.T) {
	if os.Getenv("HOOKSWITCH_PROXIES") == "" {
		t.Skip("needs HAProxy and PostgreSQL: run it with make proxies")
	}
	if _, err := lookPath("haproxy"); err != nil || runtime.GOOS != "linux" {
		t.Skipf("not Linux, or no HAProxy: %v", err) // TestProxies says what is required
	}
	t.Parallel()
	one := newStage(t, build(t))
	seed := make([]byte, 32)
	if _, err := rand.Read(seed); err != nil {
		t.Fatal(err)
	}
	one.env = append(one.env, "HOOKSWITCH_STORE="+pgtest.Start(t).Database(t), "HOOKSWITCH_FORWARD_KEY="+base64.StdEncoding.EncodeToString(seed), "HOOKSWITCH_DRAIN_DELAY=2s")
	other := *one
	two := &other
	two.dir, two.backend = t.TempDir(), port.Free(t)
	for _, s := range []*stage{one, two} {
		s.env = append(s.env[:len(s.env):len(s.env)], "HOOKSWITCH_DATA_DIR="+s.dir+"/data")
		s.startSidecar(false)
	}
	p := all[2]
	p.change = func(at place) map[string]string {
		return map[string]string{
			"bind :443 ssl crt /etc/ssl/hooks.example.com.pem":       "bind 127.0.0.1:" + at.port + " ssl crt " + at.dir + "/tls.pem",
			"    server sidecar 127.0.0.1:8080 pool-purge-delay 60s": "",
			"retries 1":       "retries 0", // which would hide what a Service in Kubernetes does not
			"#option httpchk": "option httpchk",
			"#server one 10.0.0.1:8080 check inter 1s": "server one 127.0.0.1:" + one.backend + " check inter 100ms",
			"#server two 10.0.0.2:8080 check inter 1s": "server two 127.0.0.1:" + two.backend + " check inter 100ms",
		}
	}
	one.startProxy(p)
	one.until("an answer", one.reachable)

	one.telnyx.Wait = patience // a busy machine is not what is tested
	load := one.telnyx.Load(t.Context(), "roll", 4)
	for _, s := range []*stage{one, two} {
		one.until("load", load.More(60))
		s.stopSidecar()
		s.startSidecar(false)
		s.until("webhooks at the new one", func() error {
			if s.opened() == 0 {
				return errors.New("HAProxy has no connection to it")
			}
			return nil
		})
	}
	acked, again, err := load.Stop()
	if err != nil || again > 0 {
		t.Errorf("%d webhooks were not answered 200 at once: %v", again, err)
	}
	one.until("all events", func() error { return one.app.HasAll(acked) })
	if twice := one.app.Repeated(); len(twice) > 0 {
		t.Errorf("delivered more than once: %q", twice)
	}
	t.Logf("%d events while both sidecars were replaced: all answered at once, 0 lost, 0 twice", len(acked))
	one.stopSidecar()
	two.stopSidecar()
}
