package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// connectTimeout is how long one host may take to accept a connection,
	// unless the URL says otherwise. It is well below a beat of the lease.
	connectTimeout = 2 * time.Second

	// maxConnectTimeout bounds the URL's value when there is another host to
	// try.
	maxConnectTimeout = 3 * time.Second
)

// hosts remembers which of the servers in the URL answered, so that one that does
// not costs its timeout once rather than for each connection.
type hosts struct {
	mu     sync.Mutex
	good   string    // guarded by mu: the host that answered last
	trying string    // guarded by mu: the host being tried
	since  time.Time // guarded by mu: since when
	failed error     // guarded by mu: of the last connection; nil if it succeeded
}

// hostPort names a server as the URL does.
func hostPort(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return host
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}

// allHosts lists each server of a URL once: with sslmode=prefer a configuration
// has each twice.
func allHosts(c *pgx.ConnConfig) []string {
	list := []string{hostPort(c.Host, c.Port)}
	for _, f := range c.Fallbacks {
		if name := hostPort(f.Host, f.Port); !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// prepare prepares the configuration of one connection: the host that answered
// last goes first, and the host being tried is remembered.
func (h *hosts) prepare(c *pgx.ConnConfig) {
	h.mu.Lock()
	good := h.good
	h.mu.Unlock()
	all := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	slices.SortStableFunc(all, func(a, b *pgconn.FallbackConfig) int {
		rank := func(f *pgconn.FallbackConfig) int {
			if hostPort(f.Host, f.Port) == good {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]

	names := make(map[string]string) // by address
	for _, f := range all {
		_, address := pgconn.NetworkAddress(f.Host, f.Port)
		names[address] = hostPort(f.Host, f.Port)
	}
	lookup, dial := c.LookupFunc, c.DialFunc
	c.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		found, err := lookup(ctx, host)
		for _, ip := range found {
			for _, f := range all {
				if _, address := pgconn.NetworkAddress(ip, f.Port); f.Host == host && names[address] == "" {
					names[address] = hostPort(f.Host, f.Port)
				}
			}
		}
		return found, err
	}
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if a := attemptOf(ctx); a != nil { // a request to cancel is none, and comes from another goroutine
			a.host = cmp.Or(names[address], address)
			h.mu.Lock()
			h.trying, h.since = a.host, time.Now()
			h.mu.Unlock()
		}
		return dial(ctx, network, address)
	}
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		a := attemptOf(ctx)
		conn.CustomData()[customHost] = a.host
		h.mu.Lock()
		defer h.mu.Unlock()
		h.good, h.failed, h.trying = a.host, nil, ""
		return nil
	}
}

// customHost and customEpoch are kept with a connection.
const (
	customHost  = "hookswitch.host"
	customEpoch = "hookswitch.epoch"
)

// hostOf returns the server of a connection.
func hostOf(conn *pgx.Conn) string {
	name, _ := conn.PgConn().CustomData()[customHost].(string)
	return name
}

// unconnected adds what is known of the attempt to connect, which continues, to
// the error of a caller that got no connection in time.
func (h *hosts) unconnected(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !errors.Is(err, context.DeadlineExceeded) || isConnectError(err):
		return err
	case h.trying != "":
		return fmt.Errorf("no answer from %s for %v: %w", h.trying, time.Since(h.since).Round(10*time.Millisecond), err)
	case h.failed != nil:
		return fmt.Errorf("%w: %w", err, h.failed)
	}
	return err
}

// attempt is one attempt to connect, kept in its context.
type attempt struct{ host string } // that was dialled last, as the URL has it

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// connectTracer marks attempts to connect, and records how they end.
type connectTracer struct{ h *hosts }

func (connectTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (connectTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (connectTracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return context.WithValue(ctx, attemptKey{}, new(attempt))
}

func (t connectTracer) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	if data.Err == nil {
		return
	}
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	t.h.failed, t.h.trying = data.Err, ""
}
