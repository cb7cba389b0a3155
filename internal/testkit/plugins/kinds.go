//go:build unix

package plugins

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// answers is what the programs of this file do with an event, by its type. It
// returns nothing when there is no answer, and calls begun when it waits.
func answers(eventType string, canceled <-chan struct{}, begun func()) *pluginpb.Result {
	retry := func(after time.Duration, code, reason string) *pluginpb.Result {
		r := &pluginpb.Retry{Code: code, Reason: reason}
		if after > 0 {
			r.After = durationpb.New(after)
		}
		return &pluginpb.Result{Outcome: &pluginpb.Result_Retry{Retry: r}}
	}
	switch strings.TrimPrefix(eventType, "test.") {
	case "retry":
		return retry(0, "", "crm is down")
	case "after":
		return retry(time.Minute, "", "busy")
	case "permanent":
		return &pluginpb.Result{Outcome: &pluginpb.Result_Fail{Fail: &pluginpb.Fail{Reason: "no such user"}}}
	case "wait":
		begun()
		<-canceled
		return retry(0, "timeout", "context canceled")
	case "hang":
		begun()
		return nil
	case "slow":
		begun()
		time.Sleep(300 * time.Millisecond)
	case "exit":
		os.Exit(7)
	}
	return &pluginpb.Result{Outcome: &pluginpb.Result_Ack{Ack: &pluginpb.Ack{}}}
}

// lineProgram reads and writes JSON lines and has all of the protocol.
type lineProgram struct {
	mu      sync.Mutex               // of stdout and cancels
	cancels map[uint64]chan struct{} // by seq
	busy    sync.WaitGroup
}

// lineIn has the parts of a line that it understands.
type lineIn struct {
	Seq       uint64
	EventType string `json:"event_type"`
	Body      string
	Ping      *uint64
	Cancel    uint64
	Configure json.RawMessage
}

func lines() {
	stayAlive()
	p := &lineProgram{cancels: make(map[uint64]chan struct{})}
	fmt.Fprintln(rawStdout, "loading")
	p.say(map[string]any{"hello": map[string]any{"version": "1.2.3", "language": "go", "max_in_flight": 8, "can": []string{"ping", "cancel"}}})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 32<<20)
	for in.Scan() {
		var line lineIn
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			panic(err)
		}
		p.take(line, in.Text())
	}
	p.busy.Wait()
}

func (p *lineProgram) say(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	p.write(string(text) + "\n")
}

func (p *lineProgram) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(rawStdout, text)
}

func (p *lineProgram) take(line lineIn, text string) {
	switch {
	case line.Configure != nil:
		fmt.Fprintf(rawStderr, "settings %s\n", line.Configure)
		answer := map[string]any{}
		if strings.Contains(string(line.Configure), "bad") {
			answer["errors"] = []map[string]string{{"field": "dsn", "message": "is bad"}}
		}
		p.say(map[string]any{"configured": answer})
	case line.Ping != nil:
		p.say(map[string]uint64{"pong": *line.Ping})
	case line.Cancel != 0:
		p.mu.Lock()
		defer p.mu.Unlock()
		if c, ok := p.cancels[line.Cancel]; ok {
			close(c)
			delete(p.cancels, line.Cancel)
		}
	case line.EventType == "test.facts":
		fmt.Fprintf(rawStderr, "facts %s\n", text)
		p.say(map[string]any{"seq": line.Seq, "ok": true, "text": "seen"})
	case line.EventType == "test.verbatim": // the body says what to write
		p.write(strings.ReplaceAll(line.Body, "SEQ", fmt.Sprint(line.Seq)) + "\n")
	default:
		canceled := make(chan struct{})
		p.mu.Lock()
		p.cancels[line.Seq] = canceled
		p.mu.Unlock()
		p.busy.Go(func() { p.answer(line, canceled) })
	}
}

func (p *lineProgram) answer(line lineIn, canceled chan struct{}) {
	res := answers(line.EventType, canceled, func() { fmt.Fprintln(rawStderr, "begun") })
	switch o := res.GetOutcome().(type) {
	case *pluginpb.Result_Ack:
		p.say(map[string]any{"seq": line.Seq, "ok": true})
	case *pluginpb.Result_Fail:
		p.say(map[string]any{"seq": line.Seq, "fail": o.Fail.GetReason()})
	case *pluginpb.Result_Retry:
		reply := map[string]any{"seq": line.Seq, "error": o.Retry.GetReason(), "code": o.Retry.GetCode()}
		if after := o.Retry.GetAfter().AsDuration(); after > 0 {
			reply["retry_after_ms"] = after.Milliseconds()
		}
		p.say(reply)
	}
}

// plain is the least that a program can be: no hello, one event after the
// other.
func plain() {
	stayAlive()
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 32<<20)
	for in.Scan() {
		var line lineIn
		if err := json.Unmarshal(in.Bytes(), &line); err != nil || line.Seq == 0 {
			panic("a line that is no event: " + in.Text())
		}
		if answers(line.EventType, nil, func() { fmt.Fprintln(rawStderr, "begun") }) != nil {
			fmt.Fprintf(rawStdout, "{\"seq\": %d, \"ok\": true}\n", line.Seq)
		}
	}
}

// far serves the service at the address in its environment, as a plugin in a
// container of its own would.
func far() {
	server := grpc.NewServer(farOptions()...)
	pluginpb.RegisterPluginServiceServer(server, &Bare{
		About: &pluginpb.DescribeResponse{Version: "1.2.3", Patterns: []string{"*"},
			Capabilities: &pluginpb.Capabilities{DeliverStream: true}},
		DeliverFunc: Answer,
	})
	network, address, _ := strings.Cut(os.Getenv("HS_TEST_LISTEN"), " ")
	listener, err := net.Listen(network, address)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(rawStdout, listener.Addr())
	_ = server.Serve(listener)
}

func Answer(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
	cancels := make(map[uint64]chan struct{}) // of this goroutine
	var busy sync.WaitGroup
	return deliverBare(stream, 8, bareEvents{
		event: func(e *pluginpb.Event, answer func(*pluginpb.Result)) {
			canceled := make(chan struct{})
			cancels[e.GetSeq()] = canceled
			busy.Go(func() {
				if res := answers(e.GetEventType(), canceled, func() { fmt.Fprintln(rawStdout, "begun") }); res != nil {
					res.Seq = e.GetSeq()
					answer(res)
				}
			})
		},
		cancel: func(seq uint64) {
			if c, ok := cancels[seq]; ok {
				close(c)
				delete(cancels, seq)
			}
		},
		drain: busy.Wait,
	})
}

// farOptions are TLS and a token, if the environment has them.
func farOptions() (opts []grpc.ServerOption) {
	if cert := os.Getenv("HS_TEST_CERT"); cert != "" {
		creds, err := credentials.NewServerTLSFromFile(cert, os.Getenv("HS_TEST_KEY"))
		if err != nil {
			panic(err)
		}
		opts = append(opts, grpc.Creds(creds))
	}
	allowed := func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		want := os.Getenv("HS_TEST_TOKEN")
		if got := md.Get("authorization"); want != "" && (len(got) != 1 || got[0] != "Bearer "+want) {
			return status.Error(codes.Unauthenticated, "wrong token")
		}
		return nil
	}
	return append(opts,
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := allowed(ctx); err != nil {
				return nil, err
			}
			return handle(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := allowed(stream.Context()); err != nil {
				return err
			}
			return handle(srv, stream)
		}))
}
