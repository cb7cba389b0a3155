//go:build unix

package plugincheck

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// lodger serves the plugin of far, and breaks a rule for servers.
type lodger struct {
	plugins.Bare
	fault                     string
	streams, configured, ever atomic.Int64
	spoiled                   atomic.Bool
	last                      atomic.Value // of chan struct{}: closed when the latest stream has ended
}

func (l *lodger) Configure(context.Context, *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	if l.configured.Add(1) > 1 && l.fault == "configured once" {
		return &pluginpb.ConfigureResponse{Errors: []*pluginpb.ConfigError{{Message: "I have been configured"}}}, nil
	}
	return &pluginpb.ConfigureResponse{}, nil
}

// quirk is a stream whose frames are looked at.
type quirk struct {
	grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]
	l       *lodger
	drained bool
}

func (q *quirk) Recv() (*pluginpb.DeliverRequest, error) {
	req, err := q.BidiStreamingServer.Recv()
	q.drained = q.drained || req.GetDrain() != nil
	if err != nil && !q.drained && q.l.ever.Load() > 2 && q.l.fault == "bears no loss" {
		q.l.spoiled.Store(true)
	}
	return req, err
}

func (q *quirk) Send(resp *pluginpb.DeliverResponse) error {
	switch {
	case q.l.fault == "no pong" && resp.GetPong() != nil, q.l.fault == "no end" && resp.GetDrained() != nil:
		return nil
	case q.l.fault == "unasked" && resp.GetPong() != nil:
		_ = q.BidiStreamingServer.Send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Results{
			Results: &pluginpb.ResultBatch{Results: []*pluginpb.Result{{Seq: 1_000_000}}}}})
	}
	return q.BidiStreamingServer.Send(resp)
}

func (l *lodger) Deliver(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
	defer l.streams.Add(-1)
	ended := make(chan struct{})
	defer close(ended)
	last, _ := l.last.Swap(ended).(chan struct{})
	if l.ever.Load() > 1 { // two hosts have been there at a time; from now on it is one
		<-last // it may learn of a loss later than the next connection comes
	}
	if now, ever := l.streams.Add(1), l.ever.Add(1); now > 1 && l.fault == "one host" || ever > 2 && l.fault == "one life" || l.spoiled.Load() {
		return status.Error(codes.FailedPrecondition, l.fault)
	}
	return plugins.Answer(&quirk{BidiStreamingServer: stream, l: l})
}

// serveAt serves a plugin on a socket until the test ends.
func serveAt(t *testing.T, plugin pluginpb.PluginServiceServer) (address string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hs") // t.TempDir is too long for a socket
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pluginpb.RegisterPluginServiceServer(server, plugin)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return "unix:" + socket
}

// TestVerifyRemote: as TestVerifyLines, for servers. None is stopped.
func TestVerifyRemote(t *testing.T) {
	skipped := words{"health": "it has none", "run by hand": "", "broken settings": "others may be using the server",
		"shutdown": "the server is not the host's to stop", "signals": "", "lifeline": ""}
	for fault, test := range map[string]struct {
		failed, passed words
	}{
		"good":            {passed: words{"start": "events *", "full credit": "3 ack", "unusual text": "1 ack", "connect after a loss": "1 ack"}},
		"minimal":         {passed: words{"credit": "calls at once: 2", "deadline": "", "two hosts": "", "connect after a loss": ""}},
		"nobody":          {failed: words{"start": "no such file"}},
		"configured once": {failed: words{"configure again": "I have been configured", "two hosts": "a second connection: ", "connect again": "", "connect after a loss": ""}},
		"one host":        {failed: words{"two hosts": "one host"}},
		"one life":        {failed: words{"connect again": "one life", "connect after a loss": "one life"}},
		"bears no loss":   {failed: words{"connect after a loss": "bears no loss"}},
		"no pong":         {failed: words{"ping": "no Pong within 2s", "cancel": ""}},
		"no end":          {failed: words{"drain": "nothing came"}},
		"unasked":         {failed: words{"nothing else": "a result for seq 1000000, which was never sent"}},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			plugin := &lodger{fault: fault, Bare: plugins.Bare{
				About: &pluginpb.DescribeResponse{Patterns: []string{"*"}, Capabilities: &pluginpb.Capabilities{DeliverStream: fault != "minimal"}, MaxInFlight: 2},
				HandleFunc: func(e *pluginpb.Event) (*pluginpb.Result, error) {
					return &pluginpb.Result{Seq: e.GetSeq(), Outcome: &pluginpb.Result_Ack{Ack: &pluginpb.Ack{}}}, nil
				}}}
			address := "unix:" + filepath.Join(t.TempDir(), "nobody")
			if fault != "nobody" {
				address = serveAt(t, plugin)
			}
			path := filepath.Join(t.TempDir(), "far"+catalog.ManifestSuffix)
			if err := os.WriteFile(path, fmt.Appendf(nil, `{"protocol":"remote","address":%q,"max_in_flight":3}`, address), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.failed == nil {
				test.failed = words{}
			}
			expected := skipped
			if fault == "nobody" {
				expected = nil
			}
			timeout := soon
			if fault == "no end" {
				timeout = hasty
			}
			results := verifyManifest(t, path, timeout, test.failed, expected)
			for name, text := range test.passed {
				if c := results[name]; c.Result != Passed || !strings.Contains(c.Got, text) {
					t.Errorf("%q is to pass with %q: %+v", name, text, c)
				}
			}
		})
	}
}
