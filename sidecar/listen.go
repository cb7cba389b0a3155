package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/certificate"
	"github.com/hookswitch/hookswitch/sidecar/internal/config"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
	"github.com/hookswitch/hookswitch/sidecar/internal/upkeep"
)

// listeners are open from New on. The admin socket, one more, is owned by upkeep.
type listeners struct {
	public      net.Listener
	certificate *certificate.Keeper // of public; nil if it speaks plain HTTP
	admin       net.Listener
	metrics     net.Listener // nil without Config.MetricsListen
	files       listen.Files // that they share
	allowed     connections  // for each of them
}

// openListeners opens them before anything is started, so that a port in use is
// noticed at once. Early connections wait in the listen backlog.
func (s *Sidecar) openListeners(context.Context) (err error) {
	l := &s.listeners
	if l.public, err = net.Listen("tcp", s.cfg.Listen); err != nil {
		return fmt.Errorf("sidecar: %w: choose another address with HOOKSWITCH_LISTEN", err)
	}
	pair, err := s.cfg.ReadCertificate()
	if err != nil {
		return err
	}
	if pair.Certificate != nil {
		l.certificate = certificate.NewKeeper(pair, s.cfg.ReadCertificate, s.observe.metrics.Certificate, s.log)
		l.public = l.certificate.Listener(l.public)
	}
	if l.admin, err = net.Listen("tcp", s.cfg.AdminListen); err != nil {
		return fmt.Errorf("sidecar: %w: choose another address with HOOKSWITCH_ADMIN_LISTEN", err)
	}
	if s.cfg.MetricsListen != "" {
		if l.metrics, err = net.Listen("tcp", s.cfg.MetricsListen); err != nil {
			return fmt.Errorf("sidecar: %w: choose another address with HOOKSWITCH_METRICS_LISTEN", err)
		}
	}
	s.here = l.info(&s.cfg)
	s.here.Dev = s.opts.Dev
	s.here.Socket = cmp.Or(s.here.Socket, instance.AdminSocket(s.dir))
	s.upkeep, err = upkeep.New(upkeep.Config{
		Dir: s.dir, Here: s.here, Lock: s.lock, Key: s.keyInFile, Log: s.log,
		Serve: func(l net.Listener) { s.admin.socket.serve(l) },
	})
	if err != nil {
		return fmt.Errorf("sidecar: %w: choose another path with HOOKSWITCH_ADMIN_SOCKET", err)
	}
	s.settle(&s.cfg)
	return nil
}

// info returns where this machine reaches the listeners.
func (l *listeners) info(c *Config) instance.Info {
	webhooks, admin := instance.BaseURL(l.public.Addr()), instance.BaseURL(l.admin.Addr())
	if l.certificate != nil {
		webhooks = "https" + strings.TrimPrefix(webhooks, "http")
	}
	metrics := admin
	if l.metrics != nil {
		metrics = instance.BaseURL(l.metrics.Addr())
	}
	return instance.Info{
		PID: os.Getpid(), Webhooks: webhooks + c.Paths[0], Admin: admin, Socket: c.AdminSocket, Metrics: metrics + "/metrics",
	}
}

// configured returns the addresses in use, by the settings that name them.
func (l *listeners) configured(c *Config) []config.Listener {
	list := c.Listeners()
	list[0].Address, list[1].Address = l.public.Addr().String(), l.admin.Addr().String()
	if l.metrics != nil {
		list = append(list[:2], config.Listener{Variable: "HOOKSWITCH_METRICS_LISTEN", Address: l.metrics.Addr().String()})
	}
	return list
}

func (l *listeners) close() {
	for _, l := range []net.Listener{l.public, l.admin, l.metrics} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// keyInFile returns the public half of the key in the data directory that signs
// forwarded requests, or "" if that key is not in use.
func (s *Sidecar) keyInFile() string {
	if c := s.config(); c.ForwardKey != "" {
		return ""
	}
	return s.ForwardKey()
}

// Connections that the listeners want, besides accept.DefaultMaxConns for
// webhooks. Each has its own, so that none uses up what another needs.
const (
	adminConns   = 512
	socketConns  = 128
	metricsConns = 64
)

// Open files needed otherwise: by the store and the process itself, and by each
// plugin for its pipes and its socket.
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
		s.observe.health.Note("files", func(context.Context) string { return text })
	}
	s.observe.health.NeedReady("files", s.listeners.files.Check)
	return c
}

// server is an HTTP server with its listener.
type server struct {
	http     *http.Server
	pool     *listen.Pool // of its connections
	listener net.Listener
}

// server returns the server of an admin listener with at most limit connections.
// It has no WriteTimeout: an export takes as long as it takes.
func (s *Sidecar) server(name string, limit int, l net.Listener, h http.Handler) *server {
	v := &server{
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		},
		pool: listen.New(listen.Config{Name: name, Max: limit, Log: s.log, Files: &s.listeners.files}),
	}
	v.pool.Bind(v.http)
	v.listener = v.pool.Listener(l)
	s.observe.metrics.Listener(name, v.pool.Open, v.pool.Closed)
	return v
}

// run serves until ctx ends, and then gives readers a moment. A nil server has
// nothing to do.
func (v *server) run(ctx context.Context) error {
	if v == nil {
		return nil
	}
	failed := make(chan error, 1)
	go func() { failed <- v.http.Serve(v.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("admin listener %s: %w", v.listener.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if v.http.Shutdown(stop) != nil {
		_ = v.http.Close() // a reader that does not finish loses nothing
	}
	<-failed
	return nil
}

// serve serves on one more listener, until run stops.
func (v *server) serve(l net.Listener) { _ = v.http.Serve(v.pool.Listener(l)) }
