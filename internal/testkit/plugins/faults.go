//go:build unix

package plugins

import (
	"os/exec"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// foreign is a go-plugin plugin of another program.
func foreign() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "OTHER_PLUGIN", MagicCookieValue: "x"},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

// bomb is a plugin that fills the machine with processes: each event starts
// some that each start others.
func bomb() {
	serveBare(4, func(e *pluginpb.Event, answer func(*pluginpb.Result)) {
		for range 10 {
			cmd := exec.Command("/bin/sh", "-c", `for i in 1 2 3 4 5; do (sleep 1000 & sleep 1000) & done; wait`)
			cmd.Stdout, cmd.Stderr = rawStdout, rawStderr
			cmd.ExtraFiles = kept // so that the test sees when they are gone
			if err := cmd.Start(); err != nil {
				panic(err)
			}
		}
		answer(acked(e.GetSeq()))
	})
}

// SlowpokeCredit is what slowpoke grants, and SlowpokeRest how long it takes for
// an event.
const (
	SlowpokeCredit = 4
	SlowpokeRest   = time.Millisecond
)

// slowpoke takes its time, and fails events that come while it has enough.
func slowpoke() {
	var mu sync.Mutex
	has := 0
	serveBare(SlowpokeCredit, func(e *pluginpb.Event, answer func(*pluginpb.Result)) {
		mu.Lock()
		has++
		over := has > SlowpokeCredit
		mu.Unlock()
		go func() {
			mu.Lock()
			time.Sleep(SlowpokeRest) // one at a time
			has--
			mu.Unlock()
			res := acked(e.GetSeq())
			if over {
				res.Outcome = &pluginpb.Result_Fail{Fail: &pluginpb.Fail{Reason: "more events than credit"}}
			}
			answer(res)
		}()
	})
}

// newer speaks a later version of the protocol than the host: frames, fields
// and outcomes that are not known here.
func newer() {
	unknown := func(num protowire.Number) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), "from the future")
	}
	about := &pluginpb.DescribeResponse{Version: "9", Patterns: []string{"*"}, Capabilities: &pluginpb.Capabilities{DeliverStream: true}}
	about.ProtoReflect().SetUnknown(unknown(99))
	about.Capabilities.ProtoReflect().SetUnknown(unknown(98))
	(&Bare{About: about, DeliverFunc: func(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
		frame := new(pluginpb.DeliverResponse)
		frame.ProtoReflect().SetUnknown(unknown(97))
		_ = stream.Send(frame)
		return deliverBare(stream, 4, bareEvents{event: func(e *pluginpb.Event, answer func(*pluginpb.Result)) {
			res := acked(e.GetSeq())
			if e.GetEventType() == "test.outcome" {
				res.Outcome = nil
			}
			res.ProtoReflect().SetUnknown(unknown(96))
			answer(res)
		}})
	}}).serve("")
}

func acked(seq uint64) *pluginpb.Result {
	return &pluginpb.Result{Seq: seq, Outcome: &pluginpb.Result_Ack{Ack: &pluginpb.Ack{}}}
}

// serveBare serves Deliver with a function for the events.
func serveBare(credit uint32, handle func(e *pluginpb.Event, answer func(*pluginpb.Result))) {
	(&Bare{
		About: &pluginpb.DescribeResponse{Patterns: []string{"*"}, Capabilities: &pluginpb.Capabilities{DeliverStream: true}},
		DeliverFunc: func(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse]) error {
			return deliverBare(stream, credit, bareEvents{event: handle})
		},
	}).serve("")
}

// bareEvents is what a stream does with its frames. cancel and drain may be nil;
// Drained is said after drain.
type bareEvents struct {
	event  func(e *pluginpb.Event, answer func(*pluginpb.Result))
	cancel func(seq uint64)
	drain  func()
}

func deliverBare(stream grpc.BidiStreamingServer[pluginpb.DeliverRequest, pluginpb.DeliverResponse], credit uint32, on bareEvents) error {
	var mu sync.Mutex
	send := func(frame *pluginpb.DeliverResponse) {
		mu.Lock()
		defer mu.Unlock()
		_ = stream.Send(frame)
	}
	send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Credit{Credit: &pluginpb.Credit{InFlight: credit}}})
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, e := range req.GetEvents().GetEvents() {
			on.event(e, func(res *pluginpb.Result) {
				send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Results{
					Results: &pluginpb.ResultBatch{Results: []*pluginpb.Result{res}}}})
			})
		}
		if req.GetPing() != nil {
			send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Pong{Pong: &pluginpb.Pong{Id: req.GetPing().GetId()}}})
		}
		if c := req.GetCancel(); c != nil && on.cancel != nil {
			on.cancel(c.GetSeq())
		}
		if req.GetDrain() != nil {
			go func() {
				if on.drain != nil {
					on.drain()
				}
				send(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Drained{Drained: &pluginpb.Drained{}}})
			}()
		}
	}
}
