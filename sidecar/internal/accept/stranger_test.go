package accept_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// pipes is a listener without a network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newPipes() pipes {
	p := pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	return p
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { p.close(); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestStrangersHaveTheirTime: a slow sender loses the connection after seconds, even
// on a path where nothing reads the body.
func TestStrangersHaveTheirTime(t *testing.T) {
	for name, begin := range map[string]string{
		"nothing":                 "",
		"half a header":           "POST /webhooks HTTP/1.1\r\nHo",
		"half a body":             "POST /webhooks HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1",
		"half a body of no event": "POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				s, err := accept.New(accept.Config{
					Listener: l, Paths: []string{"/webhooks"}, Verifier: &webhook.Verifier{Keys: webhooktest.NewSigner().Keys()}, Store: new(faultyStore),
					Route: func(string) []string { return nil }, Wake: func([]string) {},
					Health: telemetry.NewHealth(nil), Log: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- s.Run(ctx) }()
				client, server := net.Pipe()
				defer client.Close()
				l.conns <- server
				began := time.Now()
				if err := client.SetDeadline(began.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				go io.Copy(client, strings.NewReader(begin))
				if _, err := io.ReadAll(client); err != nil {
					t.Errorf("its connection: %v", err)
				}
				if took := time.Since(began); took > 11*time.Second {
					t.Errorf("it had its connection for %v", took)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
