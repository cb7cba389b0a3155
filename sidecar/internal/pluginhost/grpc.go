//go:build unix

package pluginhost

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// introduce makes the calls that come before the first event, and opens the way
// by which events go.
func (p *process) introduce(ctx context.Context, h *Host, b *catalog.Build) error {
	if err := p.meet(ctx, h, b); err != nil {
		return err
	}
	return p.open(ctx)
}

// meet asks the plugin what it is, and gives it its settings.
func (p *process) meet(ctx context.Context, h *Host, b *catalog.Build) error {
	if err := p.describe(ctx); err != nil {
		return err
	}
	return p.configure(ctx, b.Name, b.Settings)
}

// describe asks the plugin what it is, and checks what it says.
func (p *process) describe(ctx context.Context) error {
	about, err := pluginpb.NewPluginServiceClient(p.conn).Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	if err := checkPatterns(about.GetPatterns()); err != nil {
		return catalog.Final(fmt.Errorf("describe: %w", err))
	}
	p.about = about
	return nil
}

func checkPatterns(patterns []string) error {
	if len(patterns) == 0 || len(patterns) > catalog.MaxPatterns {
		return fmt.Errorf("the plugin declares %d event types: it must be 1 to %d", len(patterns), catalog.MaxPatterns)
	}
	for _, pattern := range patterns {
		if err := event.CheckPattern(pattern); err != nil {
			return err
		}
	}
	return nil
}

// refusal is what a plugin has against its settings.
type refusal struct{ errors []*pluginpb.ConfigError }

func (r *refusal) Error() string {
	var texts []string
	for _, e := range r.errors {
		texts = append(texts, strings.TrimPrefix(e.GetField()+": "+e.GetMessage(), ": "))
	}
	return "configure: the plugin refuses its settings: " + strings.Join(texts, "; ")
}

// configure gives the plugin its settings, or none, by which it may want other
// events than it has described.
func (p *process) configure(ctx context.Context, name string, settings []byte) error {
	resp, err := pluginpb.NewPluginServiceClient(p.conn).Configure(ctx, &pluginpb.ConfigureRequest{Name: name, ConfigJson: settings})
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	if len(resp.GetErrors()) > 0 {
		return &refusal{resp.GetErrors()}
	}
	if patterns := resp.GetPatterns(); len(patterns) > 0 {
		if err := checkPatterns(patterns); err != nil {
			return fmt.Errorf("configure: %w", err)
		}
		p.about.Patterns = patterns
	}
	p.about.MaxInFlight = cmp.Or(resp.GetMaxInFlight(), p.about.GetMaxInFlight())
	return nil
}

// open opens the way by which events go, as the plugin has described it.
func (p *process) open(ctx context.Context) error {
	if !p.about.GetCapabilities().GetDeliverStream() {
		p.link = link.OpenUnary(p.conn, int(p.about.GetMaxInFlight()), p.limit.grace)
		return nil
	}
	rpc, err := pluginpb.NewPluginServiceClient(p.conn).Deliver(context.Background())
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	p.link, err = link.OpenStream(ctx, rpc)
	return err
}

// callError adds to the error of a call during the start what the process has
// to do with it.
func (p *process) callError(ctx context.Context, err error) error {
	switch {
	case context.Cause(ctx) != nil:
		return p.withTail(fmt.Errorf("%w: %w", context.Cause(ctx), err))
	case status.Code(err) == codes.Unavailable && p.run != nil: // it has died, or is about to
		return fmt.Errorf("%w (%s)", err, p.Diagnose(ctx))
	}
	return p.withTail(err)
}

func dial(network, address string, creds credentials.TransportCredentials, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts := append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}),
		grpc.WithTransportCredentials(creds),
		grpc.WithIdleTimeout(0), // an idle connection cannot come back when the socket's file is gone
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(messageMax),
			grpc.MaxCallSendMsgSize(messageMax)),
	}, more...)
	conn, err := grpc.NewClient("passthrough:///"+authority(network, address), opts...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// authority is what a server is told to be. A path is no name of a host.
func authority(network, address string) string {
	if network == "unix" {
		return "localhost"
	}
	return address
}
