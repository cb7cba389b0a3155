package listen_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// quiet is a connection that knows whether it was closed.
type quiet struct {
	net.Conn
	closed bool
}

func (q *quiet) Close() error         { q.closed = true; return nil }
func (q *quiet) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// TestWhoMakesRoom: a request that has just begun may be Telnyx's, and its
// connection is not closed for a newcomer while there is an idle one; that of a
// request which takes long is.
func TestWhoMakesRoom(t *testing.T) {
	for _, tt := range []struct {
		name string
		age  time.Duration // of the request
		idle bool          // whether the idle connection is closed
	}{
		{"a request that has just begun", 900 * time.Millisecond, true},
		{"a request that takes long", 1100 * time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := listen.New(listen.Config{Name: "webhooks", Max: 2, Log: slog.New(slog.DiscardHandler)})
				server := new(http.Server)
				p.Bind(server)
				dial := func(states ...http.ConnState) (*quiet, context.Context) {
					c := new(quiet)
					ctx := server.ConnContext(t.Context(), c)
					for _, state := range states {
						server.ConnState(c, state)
					}
					return c, ctx
				}
				idle, ctx := dial(http.StateNew, http.StateActive)
				listen.Prove(ctx)
				server.ConnState(idle, http.StateIdle)
				busy, _ := dial(http.StateNew, http.StateActive)
				time.Sleep(tt.age)
				dial(http.StateNew)
				if idle.closed != tt.idle || busy.closed == tt.idle {
					t.Errorf("closed: the idle one %v, the request %v", idle.closed, busy.closed)
				}
			})
		})
	}
}
