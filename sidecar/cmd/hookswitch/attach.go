package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/hookswitch/hookswitch/sidecar"
)

// running returns the sidecar that runs on the data directory of cfg, if one
// answers.
func running(ctx context.Context, cfg sidecar.Config) (sidecar.Instance, bool) {
	dir, err := cfg.Dir()
	if err != nil {
		return sidecar.Instance{}, false
	}
	here, err := sidecar.FindInstance(dir)
	if err != nil {
		return here, false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", here.Socket)
	if err != nil {
		return here, false // it was killed, and left its file behind
	}
	_ = conn.Close()
	return here, true
}

// attach shows what a sidecar does that runs already, in place of a second one
// on its data directory.
func attach(ctx context.Context, c *cli.Command, here sidecar.Instance, stdout, stderr io.Writer) error {
	fmt.Fprintf(stdout, "hookswitch runs here already (pid %d): showing what it does\n\n", here.PID)
	fmt.Fprintf(stdout, "  receives   %s\n  records    %s/v2/webhook_deliveries\n\n", here.Webhooks, here.Admin)
	for _, flag := range []string{"forward-to", "plugins", "listen", "admin-listen"} {
		if c.IsSet(flag) {
			fmt.Fprintf(stdout, "  --%s has no effect on it: stop it first, or use another directory (HOOKSWITCH_STORE=file:DIR)\n", flag)
		}
	}
	t := &tail{
		connect: func() (*client, error) { return connect(c) }, query: url.Values{}, notes: stderr,
		screen: &console{out: stdout, palette: newPalette(c, stdout), form: "pretty"},
	}
	return t.run(ctx)
}
