//go:build unix

package pluginhost

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
func startExec(ctx context.Context, h *Host, b *catalog.Build, log *slog.Logger) (_ *process, err error) {
	r := h.newRunner(b.Program(), environ(h.cfg.Environ, h.cfg.Env), log)
	r.args[0] = b.Path // as people know it; some programs look at what they are called
	p := newProcess(h, r)
	defer func() {
		if err != nil {
			p.kill()
		}
	}()
	// However far the start has come, killing the group gets it unstuck.
	unwatch := context.AfterFunc(ctx, func() { r.signal(syscall.SIGKILL) })
	defer unwatch()

	addr, err := shakeHands(r, h.run.path, 2*h.cfg.StartTimeout) // ctx ends before that
	if err != nil {
		return nil, r.startError(ctx, err)
	}
	p.shutdown = true
	// The run directory is the protection.
	if p.conn, err = dial(addr.Network(), addr.String(), insecure.NewCredentials()); err != nil {
		return nil, err
	}
	if err := p.introduce(ctx, h, b); err != nil {
		return nil, p.callError(ctx, err)
	}
	p.readStdio()
	return p, nil
}

// shakeHands starts the process of a runner, its socket in a directory below
// runPath, and returns where the plugin listens.
func shakeHands(r *runner, runPath string, timeout time.Duration) (net.Addr, error) {
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: cookieKey, MagicCookieValue: cookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{protocolVersion: {}},
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
func (p *process) readStdio() {
	stdout, endStdout := p.out.copyTo(p.out.stdout)
	stderr, endStderr := p.out.copyTo(p.out.stderr)
	finished := make(chan struct{})
	p.endStdio = func() { <-finished }
	go func() {
		defer close(finished)
		defer endStdout()
		defer endStderr()
		stream, err := p.conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, "/plugin.GRPCStdio/StreamStdio")
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
