package proxies

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"

	"github.com/hookswitch/hookswitch/internal/testkit/telnyx"
)

// sizes: bodies of all sizes arrive as they were sent, up to the limit.
func (s *stage) sizes(p *proxy) {
	s.t.Helper()
	want := make(map[string]telnyx.Digest)
	for _, size := range []int{300, 20_000, 900_000, mebibyte - 10} {
		id := fmt.Sprintf("size-%d", size)
		body := telnyx.Event(id, 1, size)
		if n := len(body); n > size || n < size-10 {
			s.t.Fatalf("a body of %d bytes, not %d", n, size)
		}
		want[id] = sha256.Sum256(body)
		if status, err := s.send("/webhooks", body); status != http.StatusOK {
			s.t.Errorf("%d bytes are answered %d: %v", size, status, err)
		}
	}
	s.until("bodies of all sizes", func() error { return s.app.Has(want) })
	if p == nil {
		return // a client need not read the answer to a body that nobody reads
	}
	// Caddy finds out while it passes the body on, and answers 502 if the sidecar
	// was quicker to close the connection.
	status, err := s.send("/webhooks", telnyx.Event("too-large", 1, mebibyte+100))
	if status != http.StatusRequestEntityTooLarge && err == nil && (p.name != "caddy" || status != http.StatusBadGateway) {
		s.t.Errorf("a body over the limit is answered %d", status)
	}
}

// addresses: the record has the address of the sender, whatever the sender says of
// it.
func (s *stage) addresses(p *proxy) {
	s.t.Helper()
	if status, err := s.send("/webhooks", telnyx.Event("spoofed", 1, 300), "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.1", "X-Real-IP", "192.0.2.1"); status != http.StatusOK {
		s.t.Fatalf("answered %d: %v", status, err)
	}
	var list struct {
		Data []struct {
			ID         string
			RemoteAddr string `json:"remote_addr"`
		}
	}
	if err := s.admin("/api/v1/events", &list); err != nil {
		s.t.Fatal(err)
	}
	seen := false
	for _, e := range list.Data {
		seen = seen || e.ID == "spoofed"
		if from := strings.TrimPrefix(e.RemoteAddr, sender); from == e.RemoteAddr || p != nil && from != "" || p == nil && from[0] != ':' {
			s.t.Errorf("event %s is from %s, want %s", e.ID, e.RemoteAddr, sender)
		}
	}
	if !seen {
		s.t.Error("an event is not on record")
	}
}

// onlyWebhooks: a proxy lets nothing else in.
func (s *stage) onlyWebhooks(p *proxy) {
	s.t.Helper()
	for _, path := range []string{"/", "/readyz", "/webhooks/below", "/metrics", "/api/v1/events"} {
		if p == nil && path == "/readyz" {
			continue // health checks are there, for a load balancer
		}
		if status, err := s.send(path, []byte(`{}`)); status != http.StatusNotFound {
			s.t.Errorf("%s is answered %d: %v", path, status, err)
		}
	}
}

// keepsAlive: neither the sender nor a proxy needs a new connection for each
// webhook.
func (s *stage) keepsAlive(p *proxy) {
	s.t.Helper()
	fresh := 0
	trace := httptrace.WithClientTrace(s.t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if !c.Reused {
			fresh++
		}
	}})
	const n = 20
	for i := range n {
		if status, err := s.telnyx.Send(trace, "/webhooks", telnyx.Event(fmt.Sprintf("alive-%d", i), 1, 300)); status != http.StatusOK {
			s.t.Fatalf("answered %d: %v", status, err)
		}
	}
	if fresh > 1 {
		s.t.Errorf("%d webhooks took %d connections", n, fresh)
	}
	if p != nil && s.opened() == 0 {
		s.t.Error("the proxy keeps no connection to the sidecar")
	}
}

// opened returns how many connections to the sidecar's webhook listener are open.
func (s *stage) opened() (n int) {
	s.t.Helper()
	var text string
	if err := s.admin("/metrics", &text); err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, `hookswitch_connections{listener="webhooks"} `); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	s.t.Fatal("there is no metric of connections")
	return 0
}

// restartUnderLoad: the sidecar is stopped and started while events come in. A
// sender that tries again as Telnyx does loses none, and the app gets none twice.
func (s *stage) restartUnderLoad(alone bool) {
	s.t.Helper()
	load := s.telnyx.Load(s.t.Context(), "load", 4)
	s.until("load", load.More(60))
	for range 2 {
		s.stopSidecar()
		s.startSidecar(alone)
		s.until("load after the restart", load.More(60))
	}
	acked, again, err := load.Stop()
	if err != nil {
		s.t.Error(err)
	}
	s.until("all events", func() error { return s.app.HasAll(acked) })
	if twice := s.app.Repeated(); len(twice) > 0 {
		s.t.Errorf("delivered more than once: %q", twice)
	}
	s.t.Logf("%d events in two restarts, %d more tries: 0 lost, 0 twice", len(acked), again)
}
