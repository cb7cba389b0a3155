package process

import (
	"context"
	"log/slog"
	"net"
	"os/exec"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	goplugin "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// startExec starts an executable that speaks go-plugin's handshake and gRPC.
//
// go-plugin does the handshake and no more. Its client would open streams for
// a broker that is not used, make calls without deadlines, and lose the
// connection when the process dies at the wrong moment.
func (l *Launcher) startExec(ctx context.Context, p *Process, b *catalog.Build, log *slog.Logger) (Step, error) {
	r := l.newRunner(b.Program(), Environ(l.Environ, l.Env), log)
	r.args[0] = b.Path // as people know it; some programs look at what they are called
	p.run = r
	// However far the start has come, killing the group gets it unstuck.
	unwatch := context.AfterFunc(ctx, func() { r.signal(syscall.SIGKILL) })
	defer unwatch()
	begun := time.Now()
	addr, err := shakeHands(r, l.RunDir, 2*l.StartTimeout) // ctx ends before that
	switch {
	case err != nil && r.ID() == "":
		return StepSpawn, err
	case err != nil:
		return StepHandshake, err
	}
	p.Greeting = r.greeting()
	p.Greeting.Took = time.Since(begun)
	p.shutdown = true
	// The run directory is the protection.
	if p.Conn, err = dial(addr.Network(), addr.String(), insecure.NewCredentials()); err != nil {
		return StepConnect, err
	}
	return p.introduce(ctx, b, l.Until)
}

// shakeHands starts the process of a runner, its socket in a directory below
// runPath, and returns where the plugin listens.
func shakeHands(r *runner, runPath string, timeout time.Duration) (net.Addr, error) {
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: CookieKey, MagicCookieValue: CookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{ProtocolVersion: {}},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, socketDir string) (goplugin.Runner, error) {
			return r, r.prepare(cmd, socketDir)
		},
		SkipHostEnv:      true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: runPath},
		StartTimeout:     timeout,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	}).Start()
}

// readStdio reads what a plugin made with go-plugin prints: after the
// handshake, its standard output and error come by a gRPC stream, and if
// nobody reads that, the plugin blocks. It is not known to plugins that
// were made without go-plugin.
func (p *Process) readStdio() {
	stdout, endStdout := p.run.out.copyTo(p.run.out.stdout)
	stderr, endStderr := p.run.out.copyTo(p.run.out.stderr)
	finished := make(chan struct{})
	p.endStdio = func() { <-finished }
	go func() {
		defer close(finished)
		defer endStdout()
		defer endStderr()
		stream, err := p.Conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, "/plugin.GRPCStdio/StreamStdio")
		if err != nil || stream.SendMsg(&emptypb.Empty{}) != nil || stream.CloseSend() != nil {
			return
		}
		for {
			// The message type is private to go-plugin. What an empty
			// message does not know it keeps as raw fields.
			var msg emptypb.Empty
			if stream.RecvMsg(&msg) != nil {
				return
			}
			switch channel, data := stdioData(msg.ProtoReflect().GetUnknown()); channel {
			case 1:
				_, _ = stdout.Write(data)
			case 2:
				_, _ = stderr.Write(data)
			}
		}
	}()
}

// stdioData reads go-plugin's message StdioData: field 1 is the channel, 1 for
// stdout and 2 for stderr, and field 2 the bytes.
func stdioData(raw []byte) (channel uint64, data []byte) {
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return 0, nil
		}
		raw = raw[n:]
		switch {
		case num == 1 && typ == protowire.VarintType:
			channel, n = protowire.ConsumeVarint(raw)
		case num == 2 && typ == protowire.BytesType:
			data, n = protowire.ConsumeBytes(raw)
		default:
			n = protowire.ConsumeFieldValue(num, typ, raw)
		}
		if n < 0 {
			return 0, nil
		}
		raw = raw[n:]
	}
	return channel, data
}
