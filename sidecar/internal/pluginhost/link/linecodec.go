package link

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// jsonEvent is an event as a line. The fields are those of the protocol's
// Event.
type jsonEvent struct {
	Seq          uint64            `json:"seq"`
	EventID      string            `json:"event_id"`
	EventType    string            `json:"event_type"`
	OccurredAt   string            `json:"occurred_at"`
	ReceivedAt   time.Time         `json:"received_at"`
	Attempt      uint32            `json:"attempt"`
	TimeoutMS    int64             `json:"timeout_ms"`
	DeliveryID   string            `json:"delivery_id"`
	ContentType  string            `json:"content_type"`
	Body         *string           `json:"body,omitempty"`        // exactly the bytes that were signed
	BodyBase64   []byte            `json:"body_base64,omitempty"` // instead, if they are not UTF-8
	Headers      [][2]string       `json:"headers"`
	Traceparent  string            `json:"traceparent,omitempty"`
	Tracestate   string            `json:"tracestate,omitempty"`
	Idempotency  string            `json:"idempotency_key"`
	Replay       bool              `json:"replay,omitempty"`
	Round        uint32            `json:"round,omitempty"`
	CrashSuspect uint32            `json:"crash_suspect,omitempty"`
	Verification *jsonVerification `json:"verification,omitempty"`
}

type jsonVerification struct {
	Scheme   string    `json:"scheme"`
	KeyLabel string    `json:"key_label"`
	SignedAt time.Time `json:"signed_at"`
	SkewMS   int64     `json:"skew_ms"`
}

// EventLine returns an event in the form whose JSON is its line.
func EventLine(e *pluginpb.Event) any {
	line := jsonEvent{
		Seq:         e.GetSeq(),
		EventID:     e.GetEventId(),
		EventType:   e.GetEventType(),
		OccurredAt:  e.GetOccurredAt(),
		ReceivedAt:  e.GetReceivedAt().AsTime(),
		Attempt:     e.GetAttempt(),
		TimeoutMS:   e.GetTimeout().AsDuration().Milliseconds(),
		DeliveryID:  e.GetDeliveryId(),
		ContentType: e.GetContentType(),
		Headers:     make([][2]string, 0, len(e.GetHeaders())),

		Traceparent:  e.GetTraceparent(),
		Tracestate:   e.GetTracestate(),
		Idempotency:  e.GetIdempotencyKey(),
		Replay:       e.GetReplay(),
		Round:        e.GetRound(),
		CrashSuspect: e.GetCrashSuspect(),
	}
	if body := e.GetBody(); utf8.Valid(body) {
		text := string(body)
		line.Body = &text
	} else {
		line.BodyBase64 = body
	}
	for _, h := range e.GetHeaders() {
		line.Headers = append(line.Headers, [2]string{h.GetName(), h.GetValue()})
	}
	if v := e.GetVerification(); v != nil {
		line.Verification = &jsonVerification{
			Scheme:   v.GetScheme(),
			KeyLabel: v.GetKeyLabel(),
			SignedAt: v.GetSignedAt().AsTime(),
			SkewMS:   v.GetSkew().AsDuration().Milliseconds(),
		}
	}
	return line
}

// jsonReply is a line of the program: a result, or one of the others.
type jsonReply struct {
	Seq          *uint64  `json:"seq"`
	OK           bool     `json:"ok"`
	Text         string   `json:"text"`
	RetryAfterMS *float64 `json:"retry_after_ms"`
	Error        string   `json:"error"`
	Code         string   `json:"code"`
	Fail         *string  `json:"fail"`

	Pong       *uint64     `json:"pong"`
	Hello      *Hello      `json:"hello"`
	Configured *configured `json:"configured"`
}

// Read reads the program's stdout until its end.
func (l *Lines) Read(stdout io.Reader) {
	ReadLines(stdout, resultMax, l.line)
	l.push(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Drained{Drained: &pluginpb.Drained{}}})
	close(l.eof)
}

// line takes one line of stdout. A line that is not of the protocol is ordinary
// output, and is logged.
func (l *Lines) line(text []byte, truncated bool) {
	trimmed := bytes.TrimSpace(text)
	if truncated || len(trimmed) == 0 || trimmed[0] != '{' {
		l.program.Print(text, truncated)
		return
	}
	var reply jsonReply
	err := json.Unmarshal(trimmed, &reply)
	switch {
	case err != nil:
		l.misread(trimmed, err)
	case reply.Hello != nil:
		l.greeting(*reply.Hello)
	case reply.Configured != nil:
		select {
		case l.configured <- reply.Configured:
		default: // a second answer
		}
		l.speak()
	case reply.Pong != nil:
		l.push(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Pong{Pong: &pluginpb.Pong{Id: *reply.Pong}}})
	case reply.Seq != nil:
		l.speak()
		l.result(resultOf(&reply))
	default: // a logger that writes JSON to stdout
		l.program.Print(text, false)
	}
}

// misread takes a line that is broken or has the wrong types. If it still says
// which event it answers, the event need not wait for its timeout.
func (l *Lines) misread(text []byte, err error) {
	l.program.Misread(fmt.Sprintf("%s: %v: %s", LineMisread, err, untrusted.Valid(string(text[:min(len(text), misreadShown)]))))
	var reply struct{ Seq uint64 }
	if json.Unmarshal(text, &reply) == nil && reply.Seq != 0 {
		l.result(&pluginpb.Result{Seq: reply.Seq, Outcome: &pluginpb.Result_Retry{
			Retry: &pluginpb.Retry{Reason: fmt.Sprintf("%s: %v", AnswerMisread, err)}}})
	}
}

func (l *Lines) result(res *pluginpb.Result) {
	l.push(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Results{
		Results: &pluginpb.ResultBatch{Results: []*pluginpb.Result{res}}}})
}

// greeting takes what the program says of itself. What it says later replaces
// what it said before.
func (l *Lines) greeting(h Hello) {
	l.mu.Lock()
	l.about = h
	l.mu.Unlock()
	l.hear()
	l.grant()
	l.greet()
}

// Silent reports whether the program has not written a line of the protocol.
func (l *Lines) Silent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.spoken
}

// speak notes that the program works, and so gets all of its credit.
func (l *Lines) speak() {
	if l.hear() {
		l.grant()
	}
}

// hear notes that the program is not silent, and reports whether it was.
func (l *Lines) hear() (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first = !l.spoken; first {
		l.spoken = true
		close(l.heard)
	}
	return first
}

// The reasons that the host gives when it cannot use a program's answer.
const (
	AnswerContradicts = "the plugin's answer contradicts itself"
	AnswerMisread     = "the plugin's answer is not understood"

	LineMisread = "line on stdout is not understood"

	misreadShown = 500 // bytes of such a line
)

// retryMax is the longest wait that an answer can ask for.
const retryMax = 366 * 24 * time.Hour

// resultOf converts an answer. One that says several things, or nothing, is a
// retry: if that is wrong, it is wrong only once.
func resultOf(r *jsonReply) *pluginpb.Result {
	res := &pluginpb.Result{Seq: *r.Seq}
	retry := r.RetryAfterMS != nil || r.Error != ""
	switch {
	case r.OK && (retry || r.Fail != nil), r.Fail != nil && r.RetryAfterMS != nil:
		res.Outcome = &pluginpb.Result_Retry{Retry: &pluginpb.Retry{Reason: AnswerContradicts}}
	case r.OK:
		res.Outcome = &pluginpb.Result_Ack{Ack: &pluginpb.Ack{Text: r.Text}}
	case r.Fail != nil:
		res.Outcome = &pluginpb.Result_Fail{Fail: &pluginpb.Fail{Code: r.Code, Reason: *r.Fail}}
	default:
		out := &pluginpb.Retry{Code: r.Code, Reason: r.Error}
		if r.RetryAfterMS != nil {
			ms := min(max(*r.RetryAfterMS, 0), float64(retryMax/time.Millisecond))
			out.After = durationpb.New(time.Duration(ms * float64(time.Millisecond)))
		}
		res.Outcome = &pluginpb.Result_Retry{Retry: out}
	}
	return res
}
