package proxies

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sizes: bodies of all sizes arrive as they were sent, up to the limit.
func (s *stage) sizes(p *proxy) {
	s.t.Helper()
	want := make(map[string]digest)
	for _, size := range []int{300, 20_000, 900_000, mebibyte - 10} {
		id := fmt.Sprintf("size-%d", size)
		body := event(id, 1, size)
		if n := len(body); n > size || n < size-10 {
			s.t.Fatalf("a body of %d bytes, not %d", n, size)
		}
		want[id] = sha256.Sum256(body)
		if status, err := s.send("/webhooks", body); status != http.StatusOK {
			s.t.Errorf("%d bytes are answered %d: %v", size, status, err)
		}
	}
	s.until("bodies of all sizes", s.delivered(want))
	if p == nil {
		return // a client need not read the answer to a body that nobody reads
	}
	if status, err := s.send("/webhooks", event("too-large", 1, mebibyte+100)); status != http.StatusRequestEntityTooLarge && err == nil {
		s.t.Errorf("a body over the limit is answered %d", status)
	}
}

// addresses: the record has the address of the sender, whatever the sender says of
// it.
func (s *stage) addresses(p *proxy) {
	s.t.Helper()
	if status, err := s.send("/webhooks", event("spoofed", 1, 300), "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.1", "X-Real-IP", "192.0.2.1"); status != http.StatusOK {
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
		if status, err := s.sendWith(trace, "/webhooks", event(fmt.Sprintf("alive-%d", i), 1, 300)); status != http.StatusOK {
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
	var wg sync.WaitGroup
	var sent, again atomic.Int64
	stop := make(chan struct{})
	for sender := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				size := 300
				if n%10 == 3 {
					size = 20_000
				} else if n%40 == 20 {
					size = 900_000
				}
				tries, err := s.persist(fmt.Sprintf("load-%d-%d", sender, n), size)
				again.Add(int64(tries - 1))
				if err != nil {
					s.t.Errorf("event %d-%d was given up: %v", sender, n, err)
				}
				sent.Add(1)
			}
		})
	}
	atLeast := func(n int64) func() error {
		return func() error {
			if got := sent.Load(); got < n {
				return fmt.Errorf("%d events of %d", got, n)
			}
			return nil
		}
	}
	s.until("load", atLeast(60))
	for range 2 {
		s.stopSidecar()
		s.startSidecar(alone)
		s.until("load after the restart", atLeast(sent.Load()+60))
	}
	close(stop)
	wg.Wait()
	s.until("all events", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := s.loaded(); int64(n) < sent.Load() {
			return fmt.Errorf("%d events of %d", n, sent.Load())
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, got := range s.got {
		if len(got) != 1 {
			s.t.Errorf("event %s was delivered %d times", id, len(got))
		}
	}
	s.t.Logf("%d events in two restarts, %d more tries: 0 lost, 0 twice", sent.Load(), again.Load())
}

// loaded returns how many events of the load the app has. The caller holds mu.
func (s *stage) loaded() (n int) {
	for id := range s.got {
		if strings.HasPrefix(id, "load-") {
			n++
		}
	}
	return n
}

// persist sends an event until it is acknowledged, as Telnyx does: it waits two
// seconds for each answer, signs each attempt anew, and says which it is.
func (s *stage) persist(id string, size int) (tries int, err error) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for begun := time.Now(); time.Since(begun) < patience; {
		<-wait.C
		tries++
		var status int
		if status, err = s.send("/webhooks", event(id, tries, size)); status == http.StatusOK {
			return tries, nil
		}
		if err == nil {
			err = fmt.Errorf("answered %d", status)
			if status < 500 {
				return tries, err
			}
		}
		wait.Reset(time.Duration(min(tries, 10)) * 50 * time.Millisecond)
	}
	return tries, err
}
