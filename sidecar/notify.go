package sidecar

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/hookswitch/hookswitch/sidecar/internal/sdnotify"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// openNotify connects to the service manager that started this process, if one
// did. Failing to reach it is no reason not to receive webhooks.
func (s *Sidecar) openNotify(context.Context) error {
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
	return nil
}

// alive returns a check that asks /livez over the admin socket, as another
// process would: an answer needs the runtime, the listener and the handler.
// While the socket is gone with the data directory it asks the admin listener: a
// restart would lose the contents of the open files.
func (s *Sidecar) alive() func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if s.upkeep.Homeless() {
				return new(net.Dialer).DialContext(ctx, "tcp", s.listeners.admin.Addr().String())
			}
			return new(net.Dialer).DialContext(ctx, "unix", s.here.Socket)
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

// status returns what the service manager shows while all is well.
func (s *Sidecar) status() string {
	return fmt.Sprintf("receiving webhooks on %s for %d plugins and %d apps", s.listeners.public.Addr(), len(s.plugins.Plugins()), len(s.apps.Load().forwards))
}
