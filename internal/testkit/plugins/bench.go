//go:build unix

package plugins

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"google.golang.org/grpc"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// httpd is an app that does nothing.
func httpd() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(rawStdout, listener.Addr())
	_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
	}))
}

// wideStream is a plugin with a stream that does nothing.
func wideStream() {
	(&Bare{
		About: &pluginpb.DescribeResponse{Patterns: []string{"*"}, Capabilities: &pluginpb.Capabilities{DeliverStream: true}},
		DeliverFunc: func(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
			_ = stream.Send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Credit{Credit: &pluginpb.Credit{InFlight: 256}}})
			for {
				req, err := stream.Recv()
				if err != nil {
					return err
				}
				batch := new(pluginpb.ResultBatch)
				for _, e := range req.GetEvents().GetEvents() {
					batch.Results = append(batch.Results, acked(e.GetSeq()))
				}
				if len(batch.Results) > 0 {
					_ = stream.Send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Results{Results: batch}})
				}
			}
		},
	}).serve("")
}

// wideUnary is a plugin of the minimal profile that does nothing, for as many
// as come.
func wideUnary() {
	(&Bare{
		About:      &pluginpb.DescribeResponse{Patterns: []string{"*"}, MaxInFlight: 256},
		HandleFunc: func(*pluginpb.Event) (*pluginpb.Result, error) { return acked(0), nil },
	}).serve("")
}

// quick answers lines without looking at them any closer than it must, as a
// script would at best.
func quick() {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriter(rawStdout)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		seq, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte(`{"seq":`)), []byte(","))
		fmt.Fprintf(out, "{\"seq\":%s,\"ok\":true}\n", seq)
		if in.Buffered() == 0 {
			_ = out.Flush()
		}
	}
}
