//go:build unix

package plugins

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

// The standard streams as they were before the SDK, which the test binary has
// in it, took them away.
var rawStdout, rawStderr = os.NewFile(1, "stdout"), os.NewFile(2, "stderr")

// stayAlive opens the FIFO by which a test sees that the process lives.
func stayAlive() {
	if path := os.Getenv("HS_TEST_ALIVE"); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			panic(err)
		}
		kept = append(kept, f) // or the garbage collector would close it
	}
}

var kept []*os.File

// good is a plugin made with the SDK. The event's type says what it does.
func good(maxInFlight int) {
	stayAlive()
	var mux webhook.Mux
	on := func(do string, h webhook.HandlerFunc) { mux.Handle("test."+do, h) }
	on("ack", func(context.Context, *webhook.Event) error { return nil })
	on("retry", func(context.Context, *webhook.Event) error { return errors.New("crm is down") })
	on("after", func(context.Context, *webhook.Event) error {
		return webhook.RetryAfter(errors.New("busy"), time.Minute)
	})
	on("ages", func(context.Context, *webhook.Event) error {
		return webhook.RetryAfter(errors.New("busy"), 10*366*24*time.Hour)
	})
	on("permanent", func(context.Context, *webhook.Event) error { return webhook.Permanent(errors.New("no such user")) })
	on("panic", func(context.Context, *webhook.Event) error { panic("oops") })
	on("exit", func(context.Context, *webhook.Event) error { os.Exit(7); return nil })
	on("wait", func(ctx context.Context, _ *webhook.Event) error { // obeys
		sdk.Log(ctx).Info("begun")
		<-ctx.Done()
		return ctx.Err()
	})
	on("hang", func(ctx context.Context, _ *webhook.Event) error { // does not
		sdk.Log(ctx).Info("begun")
		select {}
	})
	on("late", func(ctx context.Context, _ *webhook.Event) error { // too late
		sdk.Log(ctx).Info("begun")
		<-ctx.Done()
		time.Sleep(300 * time.Millisecond)
		return nil
	})
	on("slow", func(ctx context.Context, _ *webhook.Event) error { // but done
		sdk.Log(ctx).Info("begun")
		time.Sleep(300 * time.Millisecond)
		return nil
	})
	on("brief", func(context.Context, *webhook.Event) error { // long enough to be there at a crash
		time.Sleep(100 * time.Millisecond)
		return nil
	})
	on("facts", func(ctx context.Context, e *webhook.Event) error {
		d, ok := sdk.DeliveryOf(ctx)
		sdk.Log(ctx).Warn("facts", "delivery", fmt.Sprintf("%+v %v", d, ok), "header", e.Header, "signature", e.Signature, "body", string(e.Raw))
		return nil
	})
	on("stderr", func(context.Context, *webhook.Event) error {
		raw := rawStderr
		for range 100 {
			fmt.Fprintln(raw, `{"@message":1,"@level":{},"@timestamp":[]}`)
			fmt.Fprintln(raw, `{"@level":7,"@message":"seven"}`)
			fmt.Fprintln(raw, "{\xff\xfe")
		}
		fmt.Fprintln(raw, `{"level":50,"msg":"pino speaks","plugin":"another","n":1}`)
		return nil
	})
	on("flood", func(context.Context, *webhook.Event) error {
		_, _ = rawStdout.Write(make([]byte, 1<<20)) // no newline
		_, _ = rawStderr.Write([]byte(strings.Repeat("x", 10<<20) + "\n"))
		_, _ = rawStderr.Write([]byte(strings.Repeat("again\n", 200_000)))
		for range 5000 {
			fmt.Println("printed by the variable that go-plugin has replaced")
		}
		return nil
	})
	on("print", func(context.Context, *webhook.Event) error { fmt.Println("printed"); return nil })
	on("environ", func(ctx context.Context, _ *webhook.Event) error {
		var names []string
		for _, pair := range os.Environ() {
			name, _, _ := strings.Cut(pair, "=")
			names = append(names, name)
		}
		sdk.Log(ctx).Info("environ", "names", strings.Join(names, ","))
		return nil
	})
	on("hog", func(context.Context, *webhook.Event) error { hog(); return nil })
	on("child-hog", func(context.Context, *webhook.Event) error {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		return (&exec.Cmd{Path: exe, Args: []string{"hogger"}}).Run() // in the group, and of the same environment
	})
	on("limits", reportLimits)
	on("child", func(ctx context.Context, _ *webhook.Event) error { return leaveChild(ctx, "1000", false) })
	on("escape", func(ctx context.Context, _ *webhook.Event) error { return leaveChild(ctx, "8", true) })
	sdk.Plugin{Version: "1.2.3", Mux: &mux, MaxInFlight: maxInFlight}.Serve()
}

// leaveChild starts a process that holds the plugin's outputs open, in a session
// of its own if it is to escape.
func leaveChild(ctx context.Context, seconds string, escape bool) error {
	cmd := exec.Command("/bin/sleep", seconds)
	cmd.Stdout, cmd.Stderr = rawStdout, rawStderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: escape}
	if alive := os.Getenv("HS_TEST_ALIVE"); alive != "" {
		f, err := os.OpenFile(alive, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		cmd.ExtraFiles = []*os.File{f}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	sdk.Log(ctx).Info("has a child")
	return nil
}

// fussy wants settings.
func fussy() {
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error { return nil })
	sdk.Plugin{Mux: &mux, Configure: sdk.Settings[fussySettings](nil)}.Serve()
}

type fussySettings struct {
	DSN string `json:"dsn" required:"true"`
}

// Events and MaxInFlight replace what the plugin has described.
func (fussySettings) Events() []string { return []string{"fax.*"} }
func (fussySettings) MaxInFlight() int { return 5 }

func exits() {
	fmt.Fprintln(os.Stderr, "cannot open the database")
	os.Exit(3)
}

func chatty() {
	for {
		if _, err := rawStdout.WriteString("still loading\n"); err != nil {
			return
		}
	}
}

// noisy prints before the handshake.
func noisy() {
	raw := rawStdout
	for i := range 20 {
		fmt.Fprintf(raw, "loading part %d | of 20\n", i)
	}
	fmt.Println("and by the usual way")
	good(0)
}

// shake prints a handshake and waits for the end of the lifeline.
func shake(line string) {
	fmt.Fprintln(rawStdout, line)
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// Bare is a plugin without go-plugin and SDK, as other languages would have it.
type Bare struct {
	pluginpb.UnimplementedPluginServiceServer
	About       *pluginpb.DescribeResponse
	DeliverFunc func(grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error
	HandleFunc  func(*pluginpb.Event) (*pluginpb.Result, error)
}

func (b *Bare) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return b.About, nil
}

func (b *Bare) Configure(context.Context, *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	return &pluginpb.ConfigureResponse{}, nil
}

func (b *Bare) Deliver(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
	return b.DeliverFunc(stream)
}

func (b *Bare) Handle(_ context.Context, req *pluginpb.HandleRequest) (*pluginpb.HandleResponse, error) {
	res, err := b.HandleFunc(req.GetEvent())
	return &pluginpb.HandleResponse{Result: res}, err
}

// serve serves without lifeline, health check or controller.
func (b *Bare) serve(extra string) {
	if os.Getenv("HOOKSWITCH_PLUGIN") == "" {
		fmt.Fprintln(rawStdout, "a plugin, to be run by a host")
		return
	}
	stayAlive()
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	pluginpb.RegisterPluginServiceServer(server, b)
	fmt.Fprintf(rawStdout, "1|1|unix|%s|grpc%s\n", path, extra)
	_ = server.Serve(listener)
}

func unaryOnly(extra string) {
	(&Bare{
		About: &pluginpb.DescribeResponse{Patterns: []string{"*"}, MaxInFlight: 2},
		HandleFunc: func(e *pluginpb.Event) (*pluginpb.Result, error) {
			switch e.GetEventType() {
			case "test.refuse":
				return nil, errors.New("exception in the handler")
			case "test.unavailable":
				return nil, status.Error(codes.Unavailable, "the crm is down")
			case "test.cancelled":
				return nil, status.Error(codes.Canceled, "the crm gave up")
			case "test.nothing":
				return nil, nil
			case "test.exit":
				os.Exit(7)
			case "test.hang":
				select {}
			}
			return &pluginpb.Result{Outcome: &pluginpb.Result_Ack{Ack: &pluginpb.Ack{Text: "by hand"}}}, nil
		},
	}).serve(extra)
}

// describeOnly gets no further than its description.
func describeOnly(patterns ...string) {
	(&Bare{About: &pluginpb.DescribeResponse{Patterns: patterns}}).serve("")
}

// stranger is a plugin of another program.
func stranger() {
	plugin.Serve(&plugin.ServeConfig{HandshakeConfig: plugin.HandshakeConfig{MagicCookieKey: "OTHER_PLUGIN", MagicCookieValue: "1"}})
}

// falls ends when it is configured.
func falls() {
	var mux webhook.Mux
	mux.Handle("*", func(context.Context, *webhook.Event) error { return nil })
	sdk.Plugin{Mux: &mux, Configure: sdk.Settings(func(context.Context, *struct{}) error {
		fmt.Fprintln(rawStderr, "cannot take them")
		os.Exit(9)
		return nil
	})}.Serve()
}

// mute takes events and answers nothing, pings neither. Without a credit it does
// not even say that.
func mute(credit uint32) {
	(&Bare{
		About: &pluginpb.DescribeResponse{Patterns: []string{"*"}, Capabilities: &pluginpb.Capabilities{DeliverStream: true}},
		DeliverFunc: func(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
			if credit > 0 {
				_ = stream.Send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Credit{Credit: &pluginpb.Credit{InFlight: credit}}})
			}
			for {
				if _, err := stream.Recv(); err != nil {
					return err
				}
			}
		},
	}).serve("")
}

// RogueCredit is the credit that rogue grants.
const RogueCredit = 3

// rogue breaks the rules where it can, and watches that the host does not: it
// answers events it never got, and every event twice; it holds all events until
// its credit is used up or nothing comes, so that a host that sends more shows;
// and it fails every event after the host has.
func rogue() {
	result := func(seq uint64, fail string) *pluginpb.Result {
		if fail != "" {
			return &pluginpb.Result{Seq: seq, Outcome: &pluginpb.Result_Fail{Fail: &pluginpb.Fail{Reason: fail}}}
		}
		return &pluginpb.Result{Seq: seq, Outcome: &pluginpb.Result_Ack{Ack: &pluginpb.Ack{}}}
	}
	deliver := func(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
		var mu sync.Mutex
		send := func(frame *pluginpb.DeliverResponse) {
			mu.Lock()
			defer mu.Unlock()
			_ = stream.Send(frame)
		}
		answer := func(results ...*pluginpb.Result) {
			send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Results{
				Results: &pluginpb.ResultBatch{Results: results}}})
		}
		violation := ""
		var held []uint64
		var heldMu sync.Mutex
		flush := func() {
			heldMu.Lock()
			batch := held
			held = nil
			fail := violation
			heldMu.Unlock()
			for _, seq := range batch {
				answer(result(seq+1_000_000, ""), result(seq, fail), result(seq, "a second answer"))
			}
		}
		send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Credit{Credit: &pluginpb.Credit{InFlight: RogueCredit}}})
		for {
			req, err := stream.Recv()
			if err != nil {
				return err
			}
			for _, e := range req.GetEvents().GetEvents() {
				heldMu.Lock()
				held = append(held, e.GetSeq())
				if len(held) > RogueCredit {
					violation = fmt.Sprintf("%d events on a credit of %d", len(held), RogueCredit)
				}
				heldMu.Unlock()
				time.AfterFunc(2*time.Millisecond, flush)
			}
			if req.GetPing() != nil {
				send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Pong{Pong: &pluginpb.Pong{Id: req.GetPing().GetId()}}})
			}
			if req.GetDrain() != nil {
				send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Drained{Drained: &pluginpb.Drained{}}})
			}
		}
	}
	(&Bare{
		About:       &pluginpb.DescribeResponse{Patterns: []string{"*"}, Capabilities: &pluginpb.Capabilities{DeliverStream: true}},
		DeliverFunc: deliver,
	}).serve("")
}
