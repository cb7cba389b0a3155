//go:build unix

package pluginhost

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
)

const (
	// jsonlCookie is the value of cookieKey for programs that read lines. It
	// is another one than that of executables, so that a plugin made with the
	// SDK does not print a handshake to where results belong.
	jsonlCookie = "hookswitch.jsonl.v1"

	resultMax = 256 << 10 // bytes of a line on stdout
)

// jsonLines carries the frames of a stream as lines over stdin and stdout. What
// the program did not say that it understands is kept from it: such a program
// is given no cancel, and a ping is answered for it as soon as its stdin has
// taken everything that comes before.
type jsonLines struct {
	run    *runner
	frames chan *pluginpb.DeliverResponse // what the program says, for Recv
	eof    chan struct{}                  // closed at the end of stdout

	configured chan *configured // has room for the one answer
	greeted    chan struct{}    // closed by the hello
	greet      func()
	heard      chan struct{} // closed by the first line of the protocol

	granting sync.Mutex // held while a credit is on its way, so that the last is the latest

	mu     sync.Mutex
	about  hello
	credit int  // what the manifest says, 0 for nothing
	spoken bool // heard is closed
	open   bool // frames are received
}

// hello is what a program may say of itself, at any time but best at once.
type hello struct {
	Version     string   `json:"version"`
	Language    string   `json:"language"`
	MaxInFlight int      `json:"max_in_flight"`
	Can         []string `json:"can"` // "ping", "cancel"
}

func (h hello) can(what string) bool {
	for _, c := range h.Can {
		if c == what {
			return true
		}
	}
	return false
}

// configured is the answer to the settings.
type configured struct {
	Errors []*pluginpb.ConfigError `json:"errors"`
}

// startJSONL starts a command and sees it through until it can take events.
func startJSONL(ctx context.Context, h *Host, f found, log *slog.Logger) (*process, error) {
	p, err := runJSONL(ctx, h, f, log)
	if err != nil {
		return nil, err
	}
	p.link = newLink()
	p.lines.begin()
	if err := openStream(ctx, p.link, p.lines); err != nil {
		p.kill()
		return nil, p.run.withTail(err)
	}
	return p, nil
}

// runJSONL starts a command and gives it its settings.
func runJSONL(ctx context.Context, h *Host, f found, log *slog.Logger) (_ *process, err error) {
	env := append(environ(h.cfg.Environ, h.cfg.Env), cookieKey+"="+jsonlCookie,
		// Or each answer waits in the program's memory until there are 8 KiB.
		"PYTHONUNBUFFERED=1")
	path, err := findProgram(f.manifest.Command[0], env)
	if err != nil {
		return nil, err
	}
	r := h.newRunner(path, env, log)
	r.args = f.manifest.Command
	lines := newJSONLines(r, f.manifest.MaxInFlight)
	r.readOut = lines.read
	p := newProcess(h, r)
	defer func() {
		if err != nil {
			p.kill()
		}
	}()
	if err := r.Start(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	unwatch := context.AfterFunc(ctx, func() {
		r.signal(syscall.SIGKILL)
		r.cut() // who writes to it would wait for a process that escaped the group
	})
	defer unwatch()
	settings, err := h.settings(f)
	if err != nil {
		return nil, err
	}
	if len(settings) > 0 {
		err = lines.configure(ctx, f.name, settings)
	} else {
		err = lines.settle(ctx, h.limits)
	}
	if err != nil {
		return nil, err
	}
	about := lines.hello()
	p.about = &pluginpb.DescribeResponse{
		Name: f.name, Version: about.Version, Language: about.Language, Sdk: string(kindJSONL), Patterns: f.manifest.Events,
	}
	p.lines = lines
	return p, nil
}

func newJSONLines(r *runner, maxInFlight int) *jsonLines {
	l := &jsonLines{
		run:        r,
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

// findProgram looks for a program without a slash in its name in the PATH that
// it will have itself.
func findProgram(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			return "", fmt.Errorf("find the program %q: there is no such file in the plugin directory", name)
		}
		return name, nil
	}
	path := ""
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value
		}
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && filepath.IsAbs(dir) && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("find the program %q: it is neither in the plugin directory nor in PATH (%s)", name, path)
}

// configure hands over the settings, and waits for the program's word that it
// can work with them.
func (l *jsonLines) configure(ctx context.Context, name string, settings []byte) error {
	line, err := json.Marshal(map[string]any{"configure": map[string]any{"name": name, "settings": json.RawMessage(settings)}})
	if err != nil {
		return fmt.Errorf("configure: the settings are not JSON: %w", err)
	}
	if bytes.TrimSpace(settings)[0] != '{' {
		return errors.New("configure: the settings are not a JSON object, such as {}")
	}
	// A program that does not read blocks this until ctx ends, and with it the
	// process and the pipe.
	if _, err := l.run.lifeline.Write(append(line, '\n')); err != nil {
		return l.startError(ctx, fmt.Errorf("configure: %w", err))
	}
	select {
	case answer := <-l.configured:
		if len(answer.Errors) > 0 {
			return &refusal{answer.Errors}
		}
		return nil
	case <-l.run.dead:
		return l.startError(ctx, errors.New("configure: no answer"))
	case <-ctx.Done():
		return l.startError(ctx, errors.New(`configure: the program has settings and did not answer {"configured":{}}`))
	}
}

// settle waits for a hello or, since none is required, until the program has
// stayed for a moment: most that cannot work end at once.
func (l *jsonLines) settle(ctx context.Context, limits limits) error {
	wait, cancel := context.WithTimeout(ctx, limits.settle)
	defer cancel()
	select {
	case <-l.greeted:
		return nil
	case <-l.run.dead:
		return l.startError(ctx, errors.New("the program ended at once"))
	case <-wait.Done():
		if ctx.Err() == nil {
			return nil
		}
		return l.startError(ctx, ctx.Err())
	}
}

func (l *jsonLines) startError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("%w (%s)", err, l.run.Diagnose(ctx))
}

func (l *jsonLines) hello() hello {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.about
}

// begin lets the program's frames through from now on, of which the first is a
// credit.
func (l *jsonLines) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
	go l.grant()
}

// grant grants the credit of the moment. A program that has not said anything
// gets one event to begin with: should it fail to start, no more than that is
// lost. Manifest and program must both be willing.
func (l *jsonLines) grant() {
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

// push makes a frame available to Recv. Before begin there is nothing that it
// could be about.
func (l *jsonLines) push(frame *pluginpb.DeliverResponse) {
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
func (l *jsonLines) Recv() (*pluginpb.DeliverResponse, error) {
	select {
	case frame := <-l.frames:
		return frame, nil
	case <-l.eof:
		return nil, errors.New("the program has closed its stdout")
	}
}

// CloseSend ends the program's input.
func (l *jsonLines) CloseSend() error {
	l.run.cut()
	return nil
}

// Send writes a frame to the program's stdin.
func (l *jsonLines) Send(req *pluginpb.DeliverRequest) error {
	var buf bytes.Buffer
	switch f := req.Frame.(type) {
	case *pluginpb.DeliverRequest_Events:
		enc := json.NewEncoder(&buf) // ends each with a newline
		enc.SetEscapeHTML(false)
		for _, e := range f.Events.GetEvents() {
			if err := enc.Encode(eventLine(e)); err != nil {
				return fmt.Errorf("write event: %w", err)
			}
		}
	case *pluginpb.DeliverRequest_Cancel:
		if !l.hello().can("cancel") {
			return nil
		}
		fmt.Fprintf(&buf, "{\"cancel\":%d}\n", f.Cancel.GetSeq())
	case *pluginpb.DeliverRequest_Ping:
		if !l.hello().can("ping") {
			l.push(&pluginpb.DeliverResponse{Frame: &pluginpb.DeliverResponse_Pong{
				Pong: &pluginpb.Pong{Id: f.Ping.GetId()}}})
			return nil
		}
		fmt.Fprintf(&buf, "{\"ping\":%d}\n", f.Ping.GetId())
	case *pluginpb.DeliverRequest_Drain:
		return l.CloseSend() // the end of the input says it all
	}
	_, err := l.run.lifeline.Write(buf.Bytes())
	return err
}
