//go:build unix

package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	goplugin "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/event"
)

// What the host and every plugin must agree on before they can speak;
// plugins/PROTOCOL.md has it for authors.
const (
	cookieKey       = "HOOKSWITCH_PLUGIN"
	cookieValue     = "hookswitch.plugin.v1"
	protocolVersion = 1
	healthService   = "plugin" // the name that go-plugin's health check uses
	messageMax      = 16 << 20 // bytes of one gRPC message
	configMax       = 1 << 20  // bytes of a plugin's settings
	patternsMax     = 1000
)

// process is one running plugin process, described and configured, and the
// link to it.
type process struct {
	*runner
	conn  *grpc.ClientConn
	about *pluginpb.DescribeResponse
	link  *link
	limit limits

	endStdio func()
}

// startProcess starts a plugin and sees it through until it can take events,
// or ctx ends. Of a process that failed nothing is left.
//
// go-plugin does the handshake and no more. Its client would open streams for
// a broker that is not used, make calls without deadlines, and lose the
// connection when the process dies at the wrong moment.
func startProcess(ctx context.Context, h *Host, f found, log *slog.Logger) (_ *process, err error) {
	if f.kind != kindExec {
		return nil, fmt.Errorf("plugins of the protocol %q cannot be started yet", f.kind)
	}
	r := newRunner(f.path, h.cfg.WorkDir, environ(h.cfg.Environ, h.cfg.Env), log)
	p := &process{runner: r, limit: h.limits}
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
	if p.conn, err = dial(addr); err != nil {
		return nil, err
	}
	if err := p.describe(ctx); err != nil {
		return nil, p.callError(ctx, err)
	}
	settings, err := readSettings(h.configPath(f))
	if err != nil {
		return nil, err
	}
	if err := p.configure(ctx, f.name, settings); err != nil {
		return nil, p.callError(ctx, err)
	}
	if err := p.open(ctx); err != nil {
		return nil, p.callError(ctx, err)
	}
	return p, nil
}

// shakeHands starts the process of a runner, its socket in a directory below
// runPath, and returns where the plugin listens.
func shakeHands(r *runner, runPath string, timeout time.Duration) (net.Addr, error) {
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: cookieKey, MagicCookieValue: cookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{protocolVersion: {}},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, socketDir string) (goplugin.Runner, error) {
			r.prepare(cmd, socketDir)
			return r, nil
		},
		SkipHostEnv:      true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: runPath},
		StartTimeout:     timeout,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	}).Start()
}

// open opens the way by which events go, as the plugin has described it.
func (p *process) open(ctx context.Context) error {
	p.link = newLink()
	if p.about.GetCapabilities().GetDeliverStream() {
		if err := openStream(ctx, p.link, pluginpb.NewPluginServiceClient(p.conn)); err != nil {
			return err
		}
	} else {
		openUnary(p.link, p.conn, int(p.about.GetMaxInFlight()), p.limit.grace)
	}
	p.readStdio()
	return nil
}

// callError adds to the error of a call during the start what the process has
// to do with it.
func (p *process) callError(ctx context.Context, err error) error {
	switch {
	case context.Cause(ctx) != nil:
		return p.withTail(fmt.Errorf("%w: %w", context.Cause(ctx), err))
	case status.Code(err) == codes.Unavailable: // it has died, or is about to
		return fmt.Errorf("%w (%s)", err, p.Diagnose(ctx))
	}
	return p.withTail(err)
}

func dial(addr net.Addr) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, addr.Network(), addr.String())
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the run directory is the protection
		grpc.WithAuthority("localhost"),
		grpc.WithIdleTimeout(0), // an idle connection cannot come back when the socket's file is gone
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(messageMax),
			grpc.MaxCallSendMsgSize(messageMax)),
	)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// describe asks the plugin what it is, and checks what it says.
func (p *process) describe(ctx context.Context) error {
	about, err := pluginpb.NewPluginServiceClient(p.conn).Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	patterns := about.GetPatterns()
	if len(patterns) == 0 || len(patterns) > patternsMax {
		return fmt.Errorf("describe: the plugin declares %d event types: it must be 1 to %d", len(patterns), patternsMax)
	}
	for _, pattern := range patterns {
		if err := event.CheckPattern(pattern); err != nil {
			return fmt.Errorf("describe: %w", err)
		}
	}
	p.about = about
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

// configure gives the plugin its settings, or none.
func (p *process) configure(ctx context.Context, name string, settings []byte) error {
	resp, err := pluginpb.NewPluginServiceClient(p.conn).Configure(ctx, &pluginpb.ConfigureRequest{Name: name, ConfigJson: settings})
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	if len(resp.GetErrors()) > 0 {
		return &refusal{resp.GetErrors()}
	}
	return nil
}

// readSettings returns the content of a plugin's settings file, or nil if
// there is none. Only the plugin knows what it means.
func readSettings(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > configMax {
		return nil, fmt.Errorf("read the settings: %s is not a file of at most %d bytes", path, configMax)
	}
	settings, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return settings, nil
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

// stop ends the process in good order, and with force where it does not
// comply. Every step is bounded. It returns what went wrong, for the log.
func (p *process) stop(drain time.Duration) error {
	// 1. No new events; wait for the results of those that are out.
	p.link.close()
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	problem := p.link.drain(ctx, p.limit.idle)
	cancel()
	// 2. Close the stream; whoever still waits is told that the event is lost.
	p.link.end(errors.New("plugin was stopped"))
	// 3. Ask it to end, in go-plugin's way.
	ctx, cancel = context.WithTimeout(context.Background(), p.limit.shutdown)
	err := p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	hung := err != nil && ctx.Err() != nil
	cancel()
	// 4. Ask again, by the lifeline, then by signal. A process that does not
	// answer at all is not asked again.
	p.cut()
	if !hung && !p.waitDone(p.limit.lifeline) {
		p.signal(syscall.SIGTERM)
		hung = !p.waitDone(p.limit.term)
	}
	if hung {
		problem = cmp.Or(problem, errors.New("the plugin did not end by itself"))
	}
	// 5. Kill what is left, and clean up.
	p.kill()
	return problem
}

// end says how the process ended or, if it has not, how the link to it did. It
// is called when the link has ended, which a dying process is a moment behind.
func (p *process) end() error {
	timer := time.NewTimer(p.limit.obituary)
	defer timer.Stop()
	select {
	case <-p.dead:
		return p.Wait(context.Background())
	case <-timer.C:
		return p.link.cause
	}
}

// kill ends the process at once and removes all that it had. It may be called
// at any stage of the start, and again.
func (p *process) kill() {
	if p.link != nil {
		p.link.end(errors.New("plugin was killed"))
	}
	p.signal(syscall.SIGKILL)
	if p.ID() != "" {
		p.waitDone(p.limit.reap)
	}
	if p.conn != nil {
		p.conn.Close() // and with it all calls and streams
	}
	if p.endStdio != nil {
		p.endStdio()
	}
	if p.socket != "" {
		_ = os.RemoveAll(p.socket) // swept at the next start if it fails
	}
}

func (p *process) pidNumber() int {
	n, _ := strconv.Atoi(p.ID())
	return n
}
