package sidecar

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Connections that the listeners would like to be able to have, besides
// accept.DefaultMaxConns for webhooks. Each has its own, so that none uses up
// what another needs.
const (
	adminConns   = 512
	socketConns  = 128
	metricsConns = 64
)

// What else needs open files: the store and what belongs to the process itself,
// and each plugin with its pipes and its socket.
const (
	ownFiles    = 256
	pluginFiles = 16
)

// connections is how many each listener may have.
type connections struct{ webhooks, admin, socket, metrics int }

// boundConnections divides the open files that this process may have, and warns
// if they are few.
func (s *Sidecar) boundConnections() connections {
	limit := listen.Limit()
	others := ownFiles + s.cfg.Concurrency*len(s.cfg.Forwards()) + pluginFiles*len(s.plugins.Plugins())
	shares, enough := listen.Shares(limit, others, accept.DefaultMaxConns, adminConns, socketConns, metricsConns)
	c := connections{shares[0], shares[1], shares[2], shares[3]}
	if limit > 0 && limit < uint64(enough) {
		text := fmt.Sprintf("the limit of open files is %d: listeners take %d connections for webhooks and %d for administration, instead of %d and %d; raise the limit to %d",
			limit, c.webhooks, c.admin, accept.DefaultMaxConns, adminConns, enough)
		s.log.Warn(text, "code", telemetry.CodeFilesFew, "limit", limit, "enough", enough)
		s.health.Note("files", func(context.Context) string { return text })
	}
	s.health.NeedReady("files", s.files.Check)
	return c
}

// server returns the server of an admin listener, which takes so many
// connections. It has no WriteTimeout: an export takes as long as it takes.
func (s *Sidecar) server(name string, most int, l *net.Listener, h http.Handler) (*http.Server, *listen.Pool) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	pool := listen.New(listen.Config{Name: name, Max: most, Log: s.log, Files: &s.files})
	pool.Bind(server)
	*l = pool.Listener(*l)
	s.metrics.Listener(name, pool.Open, pool.Closed)
	return server, pool
}
