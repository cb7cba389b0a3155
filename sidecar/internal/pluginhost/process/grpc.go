package process

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

// introduce makes the calls that come before the first event, and opens the way
// by which events go.
func (p *Process) introduce(ctx context.Context, b *catalog.Build, until Stage) (Step, error) {
	if err := p.describe(ctx); err != nil {
		return StepDescribe, err
	}
	if p.run != nil {
		p.readStdio()
	}
	if until == Described {
		return 0, nil
	}
	if err := p.Configure(ctx, b.Name, b.Settings); err != nil {
		return StepConfigure, err
	}
	if until == Configured {
		return 0, nil
	}
	return StepOpen, p.open(ctx)
}

// describe asks the plugin to describe itself, and checks the answer.
func (p *Process) describe(ctx context.Context) error {
	about, err := pluginpb.NewPluginServiceClient(p.Conn).Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	if err := checkPatterns(about.GetPatterns()); err != nil {
		return catalog.Final(fmt.Errorf("describe: %w", err))
	}
	p.About = about
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

// Refusal is a plugin's objections to its settings.
type Refusal struct{ Errors []*pluginpb.ConfigError }

func (r *Refusal) Error() string {
	var texts []string
	for _, e := range r.Errors {
		texts = append(texts, strings.TrimPrefix(e.GetField()+": "+e.GetMessage(), ": "))
	}
	return "configure: the plugin refuses its settings: " + strings.Join(texts, "; ")
}

// Configure gives the plugin its settings, or none. The settings may change which
// events it wants.
func (p *Process) Configure(ctx context.Context, name string, settings []byte) error {
	resp, err := pluginpb.NewPluginServiceClient(p.Conn).Configure(ctx, &pluginpb.ConfigureRequest{Name: name, ConfigJson: settings})
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	if len(resp.GetErrors()) > 0 {
		return &Refusal{resp.GetErrors()}
	}
	if patterns := resp.GetPatterns(); len(patterns) > 0 {
		if err := checkPatterns(patterns); err != nil {
			return fmt.Errorf("configure: %w", err)
		}
		p.About.Patterns = patterns
	}
	p.About.MaxInFlight = cmp.Or(resp.GetMaxInFlight(), p.About.GetMaxInFlight())
	return nil
}

// open opens the way by which events go, as the plugin has described it.
func (p *Process) open(ctx context.Context) error {
	if !p.About.GetCapabilities().GetDeliverStream() {
		p.Link = link.OpenUnary(p.Conn, int(p.About.GetMaxInFlight()), p.Timings.Grace)
		return nil
	}
	rpc, err := pluginpb.NewPluginServiceClient(p.Conn).Deliver(context.Background())
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	p.Link, err = link.OpenStream(ctx, rpc)
	return err
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

// authority is the name that a server is addressed by. A path is not a host name.
func authority(network, address string) string {
	if network == "unix" {
		return "localhost"
	}
	return address
}
