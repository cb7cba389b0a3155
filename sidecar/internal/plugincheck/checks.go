package plugincheck

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
)

func (s *session) client() pluginpb.PluginServiceClient {
	return pluginpb.NewPluginServiceClient(s.proc.Conn)
}

// within returns a context for a call that does not depend on handlers.
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
	if len(again.GetPatterns()) == 0 || again.GetCapabilities().GetDeliverStream() != s.proc.About.GetCapabilities().GetDeliverStream() {
		return "", fmt.Errorf("a different answer: %v", again)
	}
	return "", nil
}

func (s *session) health() (string, error) {
	ctx, cancel := s.within(verifyPing)
	defer cancel()
	resp, err := grpc_health_v1.NewHealthClient(s.proc.Conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: link.HealthService})
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
	if s.proc.Lines != nil {
		return "it runs on, and takes an event"
	}
	if s.proc.About.GetCapabilities().GetDeliverStream() {
		return "the first frame of the stream is a Credit above 0"
	}
	return "the minimal profile: calls of Handle"
}

// open starts the delivery of events, without the protections of a host.
func (s *session) open() (string, error) {
	report := func(what string) { s.violations[what] = true }
	if s.proc.Lines != nil {
		return s.openLines(report)
	}
	limit := link.WindowMax
	if m := s.entry.Manifest; m != nil && m.MaxInFlight > 0 {
		limit = m.MaxInFlight
	}
	if !s.proc.About.GetCapabilities().GetDeliverStream() {
		s.sender = newCalls(s.v.ctx, s.client(), min(int(s.proc.About.GetMaxInFlight()), limit), report)
		return fmt.Sprintf("calls at once: %d", s.sender.capacity()), nil
	}
	w, err := newWire(s.v.ctx, func(ctx context.Context) (link.Frames, error) { return s.client().Deliver(ctx) }, report)
	if err != nil {
		return "", err
	}
	s.sender, w.limit = w, limit
	return s.openWire(w)
}

func (s *session) openWire(w *wire) (string, error) {
	if err := w.begin(cmp.Or(s.v.cfg.StartTimeout, DefaultStartTimeout)); err != nil {
		return "", s.withExit(err)
	}
	return fmt.Sprintf("events at once: %d", w.capacity()), nil
}

// events returns n new events. edit may change each before it is sent.
func (s *session) events(n int, edit func(*delivery.Event)) ([]*pluginpb.Event, error) {
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

// wire returns an event in the form in which it is sent.
func (s *session) wire(e *delivery.Event, attempts int) *pluginpb.Event {
	s.last = e
	s.next++
	w := link.Request{Task: delivery.Task{Job: delivery.Job{ID: int64(s.next), Attempts: attempts}, Event: e}, Timeout: s.cfg.Timeout}.Event()
	w.Seq = s.next
	return w
}

// deliver sends events and summarizes their results.
func (s *session) deliver(events []*pluginpb.Event, err error) (string, error) {
	if err != nil {
		return "", err
	}
	results, err := s.sender.send(s.patience(), events...)
	if err != nil {
		return "", s.withExit(err)
	}
	return tally(results), nil
}

// underWay sends up to n events, and does not wait for their results.
func (s *session) underWay(n int) ([]*pluginpb.Event, error) {
	events, err := s.events(min(n, s.sender.capacity()), nil)
	if err == nil {
		err = s.sender.start(events...)
	}
	return events, err
}

// patience is how long the result of an event may take.
func (s *session) patience() time.Duration { return s.cfg.Timeout + s.proc.Timings.Grace }

// tally summarizes results.
func tally(results map[uint64]*pluginpb.Result) string {
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
		got += ": " + link.FirstLine(reason)
	}
	return got
}

// withExit returns how the process ended, or err if it has not.
func (s *session) withExit(err error) error {
	if s.proc.Remote() || errors.Is(err, errUnread) {
		return err
	}
	if !s.proc.WaitDone(s.proc.Timings.Obituary) {
		return s.withMisread(err)
	}
	text := "the process has ended: " + s.proc.End().Error()
	if lines, _ := s.transcript.tail(); len(lines) > 0 {
		text += ": " + strings.Join(lines[:min(len(lines), 3)], " | ")
	}
	return errors.New(text)
}

// unusualText adds unusual but valid text to a body.
func (s *session) unusualText() (string, error) {
	return s.deliver(s.events(1, func(e *delivery.Event) {
		if body := bytes.TrimSpace(e.Body); len(body) > 2 && body[0] == '{' && body[len(body)-1] == '}' {
			const text = "\u2028\u2029\u0085\ufeff\U0001f4f1e\u0301 \u202e" + `\u0000\ud83d\/\"\r\n`
			e.Body = slices.Concat(body[:len(body)-1], []byte(`,"hookswitch_verify":"`+text+`"}`))
			return
		}
		e.Body = append(e.Body, "&HookswitchVerify=%00%E2%80%A8%F0%9F%93%B1+%0D%0A\u2028"...)
	}))
}

func (s *session) oneEvent() (string, error) { return s.deliver(s.events(1, nil)) }

// newEvents returns a check that sends up to n events at once.
func (s *session) newEvents(n int) func() (string, error) {
	return func() (string, error) { return s.deliver(s.events(min(n, s.sender.capacity()), nil)) }
}

func (s *session) largeEvent() (string, error) {
	return s.deliver(s.events(1, func(e *delivery.Event) {
		pad := bytes.Repeat([]byte(" "), max(0, verifyBody-len(e.Body)))
		if len(e.Body) > 0 && e.Body[0] != '{' { // a form
			copy(pad, "&Padding=")
			pad = bytes.ReplaceAll(pad, []byte(" "), []byte("x"))
		}
		e.Body = append(e.Body, pad...)
	}))
}

func (s *session) repeatedEvent() (string, error) {
	if s.last == nil {
		return "", skip("no event was sent before")
	}
	return s.deliver([]*pluginpb.Event{s.wire(s.last, 1)}, nil)
}

func (s *session) brokenBody() (string, error) {
	got, err := s.deliver(s.events(1, func(e *delivery.Event) { e.Body = []byte("{\"data\":{\xff\x00") }))
	if err == nil {
		_, err = s.deliver(s.events(1, nil))
	}
	return got, err
}

func (s *session) oddHeaders() (string, error) {
	return s.deliver(s.events(1, func(e *delivery.Event) {
		e.Header = append(e.Header, [2]string{"X-Twice", "1"}, [2]string{"X-Twice", "2"}, [2]string{"X-Bytes", "\xff\xfe"}, [2]string{"X-Empty", ""})
	}))
}

// unknownFields sends what a later version of the protocol might send.
func (s *session) unknownFields() (string, error) {
	events, err := s.events(1, nil)
	if err != nil {
		return "", err
	}
	const later = 1999 // the number of a field
	unknown := protowire.AppendString(protowire.AppendTag(nil, later, protowire.BytesType), "from the future")
	events[0].ProtoReflect().SetUnknown(unknown)
	if s.proc.Lines != nil {
		return s.unknownKeys(events[0])
	}
	if w, ok := s.sender.(*wire); ok {
		frame := new(pluginpb.DeliverRequest)
		frame.ProtoReflect().SetUnknown(unknown)
		if err := w.rpc.Send(frame); err != nil {
			return "", err
		}
	}
	return s.deliver(events, nil)
}

func (s *session) ping(w *wire) (string, error) {
	events, err := s.underWay(verifyBatch)
	if err != nil {
		return "", err
	}
	begun := time.Now()
	if err := w.pong(s.next + 1_000_000); err != nil {
		return "", s.withExit(err)
	}
	got := "after " + time.Since(begun).Round(time.Millisecond/10).String()
	_, err = w.results(s.cfg.Timeout, slices.DeleteFunc(events, func(e *pluginpb.Event) bool { return !w.known[e.GetSeq()] })...)
	return got, err
}

func (s *session) cancel(w *wire) (string, error) {
	events, err := s.underWay(1)
	if err != nil {
		return "", err
	}
	for _, seq := range []uint64{events[0].GetSeq(), events[0].GetSeq() + 1_000_000} {
		if err := w.rpc.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Cancel{Cancel: &pluginpb.Cancel{Seq: seq}}}); err != nil {
			return "", err
		}
	}
	if _, err := w.results(s.proc.Timings.Grace, events...); err != nil {
		return "", s.withExit(err)
	}
	if err := w.pong(1); err != nil {
		return "", s.withExit(err)
	}
	return "", nil
}

func (s *session) drain(w *wire) (string, error) {
	events, err := s.underWay(verifyBatch)
	if err != nil {
		return "", err
	}
	if err := w.rpc.Send(&pluginpb.DeliverRequest{Frame: &pluginpb.DeliverRequest_Drain{Drain: &pluginpb.Drain{}}}); err != nil {
		return "", err
	}
	err = w.until(s.cfg.Timeout, func(f *pluginpb.DeliverResponse) (bool, error) { return f.GetDrained() != nil, nil })
	if err != nil {
		return "", s.withExit(err)
	}
	for _, e := range events {
		if w.known[e.GetSeq()] {
			return "", errors.New("it said Drained before the results of the events that it had")
		}
	}
	return "", w.rpc.CloseSend()
}

// deadline lets the deadline of a call pass. The result of that call does not matter.
func (s *session) deadline() (string, error) {
	events, err := s.events(1, nil)
	if err != nil {
		return "", err
	}
	_, _ = s.sender.send(time.Millisecond, events...)
	return s.deliver(s.events(1, nil))
}

func (s *session) nothingElse() (string, error) {
	if len(s.violations) > 0 {
		return "", errors.New(strings.Join(slices.Sorted(maps.Keys(s.violations)), "; "))
	}
	return "", nil
}
