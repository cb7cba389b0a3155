package accept_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// behind is a Server that remembers the addresses that it was told of.
type behind struct {
	*fixture
	server             *accept.Server
	accepted, rejected chan string
}

func startBehind(t *testing.T, trusted string) *behind {
	t.Helper()
	b := &behind{accepted: make(chan string, 10), rejected: make(chan string, 10)}
	b.fixture = startServer(t, func(s *accept.Server) { b.server = s }, func(cfg *accept.Config) {
		cfg.AckBudget = 30 * time.Second
		if err := cfg.Proxies.UnmarshalText([]byte(trusted)); err != nil {
			t.Fatal(err)
		}
		cfg.OnAccept = func(e *delivery.Event, _ store.Accepted, _ []string) { b.accepted <- e.RemoteAddr }
		cfg.OnReject = func(r *http.Request, _ accept.Rejection) { b.rejected <- r.RemoteAddr }
	})
	return b
}

// post sends an event, signed or not, with what a proxy says.
func (b *behind) post(t *testing.T, forwardedFor string, signed bool) {
	t.Helper()
	body := webhooktest.Sample("message.received")
	req, err := http.NewRequest(http.MethodPost, b.url+"/webhooks", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", forwardedFor)
	if signed {
		b.signer.Sign(req.Header, time.Now(), body)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

func TestSenderBehindAProxy(t *testing.T) {
	b := startBehind(t, "loopback")
	b.post(t, "192.0.2.1, 203.0.113.9", true)
	if got := <-b.accepted; got != "203.0.113.9" {
		t.Errorf("the event is from %s", got)
	}
	b.post(t, "203.0.113.8", false)
	if got := <-b.rejected; got != "203.0.113.8" {
		t.Errorf("the rejected request is from %s", got)
	}
	b.stop()
	if log := b.log.String(); !strings.Contains(log, "remote=203.0.113.8") || strings.Contains(log, "proxy-doubted") {
		t.Errorf("the log says\n%s", log)
	}
}

func TestAProxyThatIsNotBelievedIsSaidOnce(t *testing.T) {
	b := startBehind(t, "10.0.0.5")
	b.post(t, "203.0.113.9", false) // a stranger's words are worth no line
	if got := <-b.rejected; !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("a stranger was believed: %s", got)
	}
	for range 3 {
		b.post(t, "203.0.113.9", true)
		if got := <-b.accepted; !strings.HasPrefix(got, "127.0.0.1:") {
			t.Errorf("a stranger was believed: %s", got)
		}
	}
	b.server.SetProxies(accept.Proxies{}) // a reload: what is wrong is said again
	b.post(t, "203.0.113.9", true)
	<-b.accepted
	var p accept.Proxies
	if err := p.UnmarshalText([]byte("loopback")); err != nil {
		t.Fatal(err)
	}
	b.server.SetProxies(p)
	b.post(t, "unknown", true)
	<-b.accepted
	b.stop()
	log := b.log.String()
	if n := strings.Count(log, "code=proxy-doubted"); n != 3 {
		t.Errorf("said %d times, want 3", n)
	}
	for _, want := range []string{
		`proxy=127.0.0.1 reason="it is not in HOOKSWITCH_TRUSTED_PROXIES" fix="add 127.0.0.1 to HOOKSWITCH_TRUSTED_PROXIES, or remove X-Forwarded-For there"`,
		`reason="its X-Forwarded-For is not a list of addresses" fix="have the proxy send the IP address of its client"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s:\n%s", want, log)
		}
	}
}
