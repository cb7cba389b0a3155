package sidecar

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/sdnotify"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// openNotify makes the way to the service manager that started this process,
// if one did. A manager that cannot be told is no reason not to receive.
func (s *Sidecar) openNotify() {
	var err error
	s.notify, err = sdnotify.New(sdnotify.Config{
		Socket:      s.cfg.Systemd.NotifySocket,
		WatchdogUS:  s.cfg.Systemd.WatchdogUsec,
		WatchdogPID: s.cfg.Systemd.WatchdogPID,
		Alive:       s.alive(),
		Log:         s.log,
	})
	if err != nil {
		s.log.Warn("the service manager will not be told how the sidecar is doing", "code", telemetry.CodeServiceManager, "error", err)
	}
}

// alive returns a check that asks /livez over the admin socket, as another
// process would: an answer needs the runtime, the listener and the handler.
// While the socket is gone with the data directory it asks the admin listener: a
// restart then would lose what is in the files that are open.
func (s *Sidecar) alive() func(context.Context) error {
	path := s.socketPath
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if s.homeless() {
				return new(net.Dialer).DialContext(ctx, "tcp", s.adminNet.Addr().String())
			}
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hookswitch/livez", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("liveness: %w", err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("liveness: /livez answers %s", res.Status)
		}
		return nil
	}
}

// status is what the service manager shows while all is well.
func (s *Sidecar) status() string {
	return fmt.Sprintf("receiving webhooks on %s for %d plugins and %d apps", s.public.Addr(), len(s.plugins.Plugins()), len(s.apps.Load().forwards))
}

// What the steps of stopping may take besides what is configured.
const (
	stopRequests = 10 * time.Second // accept: a sender that is still sending, before AckBudget
	stopAttempts = 6 * time.Second  // dispatch: to record what came of attempts that were cancelled
	stopPlugins  = 10 * time.Second // pluginhost: a plugin that does not comply
	stopFaces    = 9 * time.Second  // notify 1 s, alerts 2 s, three listeners at 2 s
	stopStore    = 10 * time.Second // the backlog is counted, the store closed
	stopSpans    = 3 * time.Second  // the last of them are sent
)

// backlogLimit bounds the last question to the store, which may not answer.
const backlogLimit = 5 * time.Second

// stopLimit is how long stopping may take at worst: the limits of the steps of
// Run, which follow one another, and of what the program does then. An attempt
// that hangs takes ShutdownTimeout, and the plugin that hangs on it takes it
// again.
func (s *Sidecar) stopLimit() time.Duration {
	return time.Duration(s.cfg.DrainDelay) +
		stopRequests + time.Duration(s.cfg.AckBudget) +
		time.Duration(s.cfg.ShutdownTimeout) + stopAttempts +
		time.Duration(s.cfg.ShutdownTimeout) + stopPlugins +
		stopFaces + stopStore + stopSpans +
		s.opts.StopLimit
}
