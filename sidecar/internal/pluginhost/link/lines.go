package link

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

// resultMax is how many bytes a line on stdout may have.
const resultMax = 256 << 10

// Program has the parts of a program that [Lines] needs.
type Program interface {
	io.WriteCloser // its standard input

	// Dead returns a channel that is closed when the program has ended.
	Dead() <-chan struct{}

	// Print takes a line of its standard output that is not of the protocol.
	Print(line []byte, truncated bool)

	// Misread takes what is wrong with a line that was meant to be.
	Misread(text string)
}

// Lines carries the [Frames] of a stream as lines over stdin and stdout. A
// program is sent only what it says it understands: without that it gets no
// cancel, and a ping is answered for it as soon as its stdin has taken
// everything before. It is safe for concurrent use.
type Lines struct {
	program Program
	frames  chan *pluginpb.DeliverResponse // what the program says, for Recv
	eof     chan struct{}                  // closed at the end of stdout

	configured chan *configured // has room for the one answer
	greeted    chan struct{}    // closed by the hello
	greet      func()
	heard      chan struct{} // closed by the first line of the protocol

	granting sync.Mutex // held while a credit is sent, so that the last is the latest

	mu     sync.Mutex
	about  Hello
	credit int  // the manifest's limit, 0 for none
	spoken bool // heard is closed
	open   bool // Begin has been called
}

// Hello is a program's description of itself. It may come at any time, but best
// at once.
type Hello struct {
	Version     string   `json:"version"`
	Language    string   `json:"language"`
	MaxInFlight int      `json:"max_in_flight"`
	Can         []string `json:"can"` // "ping", "cancel"
}

// Understands reports whether the program says that it can do something.
func (h Hello) Understands(what string) bool { return slices.Contains(h.Can, what) }

// configured is the answer to the settings.
type configured struct {
	Errors []*pluginpb.ConfigError `json:"errors"`
}

// NewLines returns the lines of a program. Call Read to read its stdout.
// maxInFlight is the operator's limit, 0 for none.
func NewLines(p Program, maxInFlight int) *Lines {
	l := &Lines{
		program:    p,
		frames:     make(chan *pluginpb.DeliverResponse),
		eof:        make(chan struct{}),
		configured: make(chan *configured, 1),
		greeted:    make(chan struct{}),
		heard:      make(chan struct{}),
		credit:     maxInFlight,
	}
	l.greet = sync.OnceFunc(func() { close(l.greeted) })
	return l
}

// ConfigureLine returns the line that gives a program its settings.
func ConfigureLine(name string, settings []byte) ([]byte, error) {
	line, err := json.Marshal(map[string]any{"configure": map[string]any{"name": name, "settings": json.RawMessage(settings)}})
	if err != nil {
		return nil, fmt.Errorf("configure: the settings are not JSON: %w", err)
	}
	if bytes.TrimSpace(settings)[0] != '{' {
		return nil, errors.New("configure: the settings are not a JSON object, such as {}")
	}
	return append(line, '\n'), nil
}

// Configure hands over the settings, and waits until the program accepts them or
// says what is wrong with them. A program that does not read blocks this until it
// is killed and its input closed, which its owner does when ctx ends.
func (l *Lines) Configure(ctx context.Context, line []byte) ([]*pluginpb.ConfigError, error) {
	if _, err := l.program.Write(line); err != nil {
		return nil, fmt.Errorf("configure: %w", err)
	}
	select {
	case answer := <-l.configured:
		return answer.Errors, nil
	case <-l.program.Dead():
		return nil, errors.New("configure: no answer")
	case <-ctx.Done():
		return nil, errors.New(`configure: the program has settings and did not answer {"configured":{}}`)
	}
}

// Settle waits for a hello or, since none is required, until the program has
// stayed for a moment: most that cannot work end at once.
func (l *Lines) Settle(ctx context.Context, moment time.Duration) error {
	select {
	case <-l.greeted:
		return nil
	case <-l.program.Dead():
		return errors.New("the program ended at once")
	case <-time.After(moment):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hello returns what the program has said of itself.
func (l *Lines) Hello() Hello {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.about
}

// Greeted returns a channel that is closed when the program has said hello.
func (l *Lines) Greeted() <-chan struct{} { return l.greeted }

// Heard returns a channel that is closed when the program is not silent.
func (l *Lines) Heard() <-chan struct{} { return l.heard }

// Begin lets the program's frames through from now on, of which the first is a
// credit.
func (l *Lines) Begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
	go l.grant()
}

// grant grants the credit of the moment. A program that has not said anything
// gets one event to begin with: should it fail to start, no more than that is
// lost. Manifest and program must both be willing.
func (l *Lines) grant() {
	l.granting.Lock()
	defer l.granting.Unlock()
	l.mu.Lock()
	credit := max(1, cmp.Or(l.credit, l.about.MaxInFlight))
	if l.credit > 0 && l.about.MaxInFlight > 0 {
		credit = min(l.credit, l.about.MaxInFlight)
	}
	if !l.spoken {
		credit = 1
	}
	l.mu.Unlock()
	l.push(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Credit{
		Credit: &pluginpb.Credit{InFlight: uint32(credit)}}})
}

// push makes a frame available to Recv. Before Begin there is nothing that it
// could be about.
func (l *Lines) push(frame *pluginpb.DeliverResponse) {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	if !open {
		return
	}
	select {
	case l.frames <- frame:
	case <-l.eof:
	}
}

// Recv returns what the program said next.
func (l *Lines) Recv() (*pluginpb.DeliverResponse, error) {
	select {
	case frame := <-l.frames:
		return frame, nil
	case <-l.eof:
		return nil, errors.New("the program has closed its stdout")
	}
}

// CloseSend ends the program's input.
func (l *Lines) CloseSend() error {
	_ = l.program.Close() // it may have been closed before
	return nil
}

// Send writes a frame to the program's stdin.
func (l *Lines) Send(req *pluginpb.DeliverRequest) error {
	var buf bytes.Buffer
	switch f := req.Frame.(type) {
	case *pluginpb.DeliverRequest_Events:
		enc := json.NewEncoder(&buf) // ends each with a newline
		enc.SetEscapeHTML(false)
		for _, e := range f.Events.GetEvents() {
			if err := enc.Encode(EventLine(e)); err != nil {
				return fmt.Errorf("write event: %w", err)
			}
		}
	case *pluginpb.DeliverRequest_Cancel:
		if !l.Hello().Understands("cancel") {
			return nil
		}
		fmt.Fprintf(&buf, "{\"cancel\":%d}\n", f.Cancel.GetSeq())
	case *pluginpb.DeliverRequest_Ping:
		if !l.Hello().Understands("ping") {
			l.push(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Pong{
				Pong: &pluginpb.Pong{Id: f.Ping.GetId()}}})
			return nil
		}
		fmt.Fprintf(&buf, "{\"ping\":%d}\n", f.Ping.GetId())
	case *pluginpb.DeliverRequest_Drain:
		return l.CloseSend() // the end of the input says it all
	}
	_, err := l.program.Write(buf.Bytes())
	return err
}
