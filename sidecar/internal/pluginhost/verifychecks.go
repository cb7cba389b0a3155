//go:build unix

package pluginhost

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// byHand runs the program as a person would, without a host.
func (v *verifier) byHand() {
	v.check("run by hand", "without the cookie it says what it is, and ends", func() (string, error) {
		path, err := filepath.Abs(v.path)
		if err != nil {
			return "", skip(err.Error())
		}
		lab, err := openLab("")
		if err != nil {
			return "", skip(err.Error())
		}
		defer lab.close()
		ctx, cancel := context.WithTimeout(v.ctx, verifyByHand)
		defer cancel()
		cmd := exec.CommandContext(ctx, path)
		cmd.Dir, cmd.Env = lab.work, environ(v.cfg.Environ, v.cfg.Env)
		cmd.WaitDelay = time.Second
		text, err := cmd.CombinedOutput()
		switch _, exited := errors.AsType[*exec.ExitError](err); {
		case ctx.Err() != nil:
			return "", fmt.Errorf("it was still running after %v", verifyByHand)
		case err != nil && !exited:
			return "", skip("it cannot be run: " + err.Error())
		}
		for line := range bytes.Lines(text) {
			if handshakeLine.Match(line) {
				return "", errors.New("it prints a handshake to whoever runs it")
			}
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return "", errors.New("it says nothing")
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		return fmt.Sprintf("%.70q", first), nil
	})
}

func (s *session) client() pluginpb.PluginServiceClient {
	return pluginpb.NewPluginServiceClient(s.proc.conn)
}

// within bounds a call that does not depend on handlers.
func (s *session) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.v.ctx, d)
}

func (s *session) describeAgain() (string, error) {
	ctx, cancel := s.within(verifyPing)
	defer cancel()
	again, err := s.client().Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		return "", err
	}
	if len(again.GetPatterns()) == 0 || again.GetCapabilities().GetDeliverStream() != s.proc.about.GetCapabilities().GetDeliverStream() {
		return "", fmt.Errorf("another one: %v", again)
	}
	return "", nil
}

func (s *session) health() (string, error) {
	ctx, cancel := s.within(verifyPing)
	defer cancel()
	resp, err := grpc_health_v1.NewHealthClient(s.proc.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: healthService})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return "", skip("it has none")
	case err != nil:
		return "", err
	case resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return "", fmt.Errorf("it is %v", resp.GetStatus())
	}
	return "", nil
}

func (s *session) openWant() string {
	if s.proc.about.GetCapabilities().GetDeliverStream() {
		return "the first frame of the stream is a Credit above 0"
	}
	return "the minimal profile: calls of Handle"
}

// open opens the way of the events, without the protections of a host.
func (s *session) open() (string, error) {
	odd := func(what string) { s.odd[what] = true }
	if !s.proc.about.GetCapabilities().GetDeliverStream() {
		s.post = newCalls(s.v.ctx, s.client(), int(s.proc.about.GetMaxInFlight()), odd)
		return fmt.Sprintf("calls at once: %d", s.post.most()), nil
	}
	w, err := openWire(s.v.ctx, s.client(), orElse(s.v.cfg.StartTimeout, 10*time.Second), odd)
	if err != nil {
		return "", err
	}
	s.post = w
	return fmt.Sprintf("events at once: %d", w.most()), nil
}

// events makes new ones. edit may change each before it is sent.
func (s *session) events(n int, edit func(*store.Event)) ([]*pluginpb.Event, error) {
	list := make([]*pluginpb.Event, 0, n)
	for range n {
		e, err := s.v.cfg.Event(s.Report.Patterns)
		if err != nil {
			return nil, skip("there is no event to send: " + err.Error())
		}
		if edit != nil {
			edit(e)
		}
		list = append(list, s.wire(e, 0))
	}
	return list, nil
}

// wire returns an event as it is sent.
func (s *session) wire(e *store.Event, attempts int) *pluginpb.Event {
	s.again = e
	s.next++
	w := wireEvent(store.Task{Job: store.Job{ID: int64(s.next), Attempts: attempts}, Event: e}, "", s.cfg.Timeout, 0)
	w.Seq = s.next
	return w
}

// deliver sends events and says what became of them.
func (s *session) deliver(events []*pluginpb.Event, err error) (string, error) {
	if err != nil {
		return "", err
	}
	results, err := s.post.send(s.cfg.Timeout+s.proc.limit.grace, events...)
	if err != nil {
		return "", s.lifeSign(err)
	}
	counts := make(map[string]int)
	reason := ""
	for _, r := range results {
		switch out := r.GetOutcome().(type) {
		case *pluginpb.Result_Ack:
			counts["ack"]++
		case *pluginpb.Result_Fail:
			counts["fail"]++
			reason = cmp.Or(out.Fail.GetReason(), out.Fail.GetCode())
		default:
			counts["retry"]++
			reason = cmp.Or(r.GetRetry().GetReason(), r.GetRetry().GetCode())
		}
	}
	var text []string
	for _, kind := range []string{"ack", "retry", "fail"} {
		if counts[kind] > 0 {
			text = append(text, fmt.Sprintf("%d %s", counts[kind], kind))
		}
	}
	got := strings.Join(text, ", ")
	if reason != "" {
		got += ": " + firstLine(reason)
	}
	return got, nil
}

// lifeSign adds to an error how the process ended, if it did.
func (s *session) lifeSign(err error) error {
	if !s.proc.waitDone(s.proc.limit.obituary) {
		return err
	}
	text := "the process has ended: " + s.proc.end().Error()
	if lines, _ := s.witness.lastWords(); len(lines) > 0 {
		text += ": " + strings.Join(lines[:min(len(lines), 3)], " | ")
	}
	return errors.New(text)
}

func (s *session) oneEvent() (string, error) { return s.deliver(s.events(1, nil)) }
func (s *session) manyEvents() (string, error) {
	return s.deliver(s.events(min(verifyBatch, s.post.most()), nil))
}
func (s *session) fullCredit() (string, error) {
	return s.deliver(s.events(min(verifyMost, s.post.most()), nil))
}

func (s *session) largeEvent() (string, error) {
	return s.deliver(s.events(1, func(e *store.Event) {
		pad := bytes.Repeat([]byte(" "), max(0, verifyBody-len(e.Body)))
		if len(e.Body) > 0 && e.Body[0] != '{' { // a form
			copy(pad, "&Padding=")
			pad = bytes.ReplaceAll(pad, []byte(" "), []byte("x"))
		}
		e.Body = append(e.Body, pad...)
	}))
}

func (s *session) repeatedEvent() (string, error) {
	if s.again == nil {
		return "", skip("no event was sent before")
	}
	return s.deliver([]*pluginpb.Event{s.wire(s.again, 1)}, nil)
}

func (s *session) brokenBody() (string, error) {
	got, err := s.deliver(s.events(1, func(e *store.Event) { e.Body = []byte("{\"data\":{\xff\x00") }))
	if err == nil {
		_, err = s.deliver(s.events(1, nil))
	}
	return got, err
}

func (s *session) oddHeaders() (string, error) {
	return s.deliver(s.events(1, func(e *store.Event) {
		e.Header = append(e.Header, [2]string{"X-Twice", "1"}, [2]string{"X-Twice", "2"}, [2]string{"X-Bytes", "\xff\xfe"}, [2]string{"X-Empty", ""})
	}))
}

// unknownFields sends what a later version of the protocol might.
func (s *session) unknownFields() (string, error) {
	events, err := s.events(1, nil)
	if err != nil {
		return "", err
	}
	const later = 1999 // the number of a field
	unknown := protowire.AppendString(protowire.AppendTag(nil, later, protowire.BytesType), "from the future")
	events[0].ProtoReflect().SetUnknown(unknown)
	if w, ok := s.post.(*wire); ok {
		frame := new(pluginpb.DeliverRequest)
		frame.ProtoReflect().SetUnknown(unknown)
		if err := w.rpc.Send(frame); err != nil {
			return "", err
		}
	}
	return s.deliver(events, nil)
}

func (s *session) ping(w *wire) (string, error) {
	events, err := s.events(min(verifyBatch, w.most()), nil)
	if err != nil {
		return "", err
	}
	if err := w.start(events...); err != nil {
		return "", err
	}
	begun := time.Now()
	if err := w.pong(s.next + 1_000_000); err != nil {
		return "", s.lifeSign(err)
	}
	got := "after " + time.Since(begun).Round(time.Millisecond/10).String()
	_, err = w.results(s.cfg.Timeout, slices.DeleteFunc(events, func(e *pluginpb.Event) bool { return !w.known[e.GetSeq()] })...)
	return got, err
}

func (s *session) cancel(w *wire) (string, error) {
	events, err := s.events(1, nil)
	if err != nil {
		return "", err
	}
	if err := w.start(events...); err != nil {
		return "", err
	}
	for _, seq := range []uint64{events[0].GetSeq(), events[0].GetSeq() + 1_000_000} {
		if err := w.rpc.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Cancel{Cancel: &pluginpb.Cancel{Seq: seq}}}); err != nil {
			return "", err
		}
	}
	if _, err := w.results(s.proc.limit.grace, events...); err != nil {
		return "", s.lifeSign(err)
	}
	return "", w.pong(1)
}

func (s *session) drain(w *wire) (string, error) {
	events, err := s.events(min(verifyBatch, w.most()), nil)
	if err != nil {
		return "", err
	}
	if err := w.start(events...); err != nil {
		return "", err
	}
	if err := w.rpc.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Drain{Drain: &pluginpb.Drain{}}}); err != nil {
		return "", err
	}
	err = w.until(s.cfg.Timeout, func(f *pluginpb.DeliverResponse) (bool, error) { return f.GetDrained() != nil, nil })
	if err != nil {
		return "", s.lifeSign(err)
	}
	for _, e := range events {
		if w.known[e.GetSeq()] {
			return "", errors.New("it said Drained before the results of the events that it had")
		}
	}
	return "", w.rpc.CloseSend()
}

// deadline lets the time of a call run out. What becomes of that one is not
// looked at.
func (s *session) deadline() (string, error) {
	events, err := s.events(1, nil)
	if err != nil {
		return "", err
	}
	_, _ = s.post.send(time.Millisecond, events...)
	return s.deliver(s.events(1, nil))
}

func (s *session) nothingElse() (string, error) {
	for what := range s.odd {
		return "", errors.New(what)
	}
	return "", nil
}

func (s *session) shutdown() (string, error) {
	ctx, cancel := s.within(verifyEnd)
	defer cancel()
	begun := time.Now()
	err := s.proc.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	if status.Code(err) == codes.Unimplemented {
		return "", skip("it does not have it, and ends by the lifeline")
	}
	return s.endsBy(begun)
}

// endsBy waits until the process has ended by itself.
func (s *session) endsBy(begun time.Time) (string, error) {
	select {
	case <-s.proc.dead:
		return "after " + time.Since(begun).Round(time.Millisecond).String(), nil
	case <-time.After(verifyEnd):
		return "", fmt.Errorf("it was still running after %v", time.Since(begun).Round(time.Millisecond))
	case <-s.v.ctx.Done():
		return "", s.v.ctx.Err()
	}
}

func (s *session) brokenSettings() (string, error) {
	ctx, cancel := s.within(orElse(s.cfg.StartTimeout, 10*time.Second))
	defer cancel()
	resp, err := s.client().Configure(ctx, &pluginpb.ConfigureRequest{Name: s.Report.Name, ConfigJson: []byte(`{"`)})
	if err != nil {
		return "", s.lifeSign(err)
	}
	if _, err := s.describeAgain(); err != nil {
		return "", s.lifeSign(err)
	}
	if len(resp.GetErrors()) == 0 {
		return "no notice taken", nil
	}
	e := resp.GetErrors()[0]
	return "refused: " + strings.TrimPrefix(e.GetField()+": "+e.GetMessage(), ": "), nil
}

func (s *session) surviveSignals() (string, error) {
	events, err := s.events(min(verifyBatch, s.post.most()), nil)
	if err != nil {
		return "", err
	}
	type answer struct {
		got string
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		got, err := s.deliver(events, nil)
		answered <- answer{got, err}
	}()
	s.proc.signal(syscall.SIGTERM)
	s.proc.signal(syscall.SIGINT)
	if a := <-answered; a.err != nil {
		return a.got, a.err
	}
	return s.deliver(s.events(1, nil))
}

func (s *session) loseHost() (string, error) {
	events, err := s.events(min(verifyBatch, s.post.most()), nil)
	if err == nil {
		err = s.post.start(events...)
	}
	if err != nil {
		return "", err
	}
	begun := time.Now()
	s.proc.run.cut()
	return s.endsBy(begun)
}
