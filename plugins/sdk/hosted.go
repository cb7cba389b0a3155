package sdk

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/plugins/sdk/internal/service"
)

// What the plugin and every host must agree on before they can speak.
const (
	cookieKey       = "HOOKSWITCH_PLUGIN"
	cookieValue     = "hookswitch.plugin.v1"
	protocolVersion = 1
)

const (
	// orphanDrain is how long handlers may run on when the host is gone.
	orphanDrain = 1500 * time.Millisecond

	// orphanFlush is how long their results may then take to get out.
	orphanFlush = 200 * time.Millisecond

	// orphanEnd is when the process ends at the latest, whatever main does
	// after Serve.
	orphanEnd = 2 * time.Second
)

// The standard streams as the process got them. Serving replaces os.Stdout and
// os.Stderr by pipes to the host.
var stdout, stderr = os.Stdout, os.Stderr

// The first line on standard output is the handshake. Whatever the program
// prints before Serve must not be taken for it, and it can print as soon as
// its packages are initialised; hence this function.
func init() {
	if hosted() {
		os.Stdout = os.Stderr
	}
}

// hosted reports whether a host runs this process.
func hosted() bool { return os.Getenv(cookieKey) == cookieValue }

// serveHost serves the host until it ends the plugin or is gone.
func serveHost(svc *service.Service) {
	// A signal to the whole process group, as from a terminal or a service
	// manager, reaches the plugin and the host together. The host then needs
	// the plugin to finish its events; the lifeline says when to end. The
	// signals are caught, not ignored, because programs that the plugin runs
	// would inherit the latter.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	os.Stdout = stdout // for the handshake
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			MagicCookieKey:   cookieKey,
			MagicCookieValue: cookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{
			protocolVersion: {"events": &grpcPlugin{svc: svc}},
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			server := grpc.NewServer(append(opts,
				grpc.MaxRecvMsgSize(service.MessageMax),
				grpc.MaxSendMsgSize(service.MessageMax))...)
			go watchLifeline(os.Stdin, svc, server)
			return server
		},
		Logger: hclog.New(&hclog.LoggerOptions{
			Level:      hclog.Error,
			Output:     stderr,
			JSONFormat: true,
		}),
	})
	svc.Stop()
}

// watchLifeline ends the plugin when the host is gone: nothing else holds the
// other end of stdin. It does not trust a stdin that is not a pipe, which other
// hosts may provide.
func watchLifeline(stdin *os.File, svc *service.Service, server *grpc.Server) {
	info, err := stdin.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	_, _ = io.Copy(io.Discard, stdin)
	time.AfterFunc(orphanEnd, func() { os.Exit(0) })
	svc.Wait(orphanDrain)
	svc.Stop()
	// If somebody still listens, the last results are on their way.
	farewell := time.AfterFunc(orphanFlush, server.Stop)
	defer farewell.Stop()
	server.GracefulStop() // and Serve returns
}

// grpcPlugin registers the service in the way of go-plugin.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	svc *service.Service
}

func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	pluginpb.RegisterPluginServiceServer(server, p.svc)
	return nil
}

// GRPCClient is the host's side, which go-plugin wants to see here before it
// believes that the plugin speaks gRPC. It is never called.
func (p *grpcPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("sdk: a plugin is not a host")
}
