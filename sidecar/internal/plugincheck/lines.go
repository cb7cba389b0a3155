package plugincheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/link"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

// lineFrames are the frames of a program that reads lines, and fail when it does not
// read its input in time. A host finds that out by pings.
type lineFrames struct {
	*link.Lines
	proc   *process.Process
	within time.Duration
}

var errUnread = errors.New("it has not read its input")

func (l lineFrames) Send(req *pluginpb.DeliverRequest) error {
	return l.write(func() error { return l.Lines.Send(req) })
}

func (l lineFrames) write(send func() error) error {
	if err := l.proc.Input().SetWriteDeadline(time.Now().Add(l.within)); err != nil {
		return err
	}
	err := send()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.proc.Signal(syscall.SIGKILL) // what it reads next would be half a line
		l.proc.WaitDone(verifyEnd)
		return fmt.Errorf("%w for %v", errUnread, l.within)
	}
	return err
}

// openLines starts the delivery of events to a program that reads lines.
func (s *session) openLines(report func(string)) (string, error) {
	w, err := newWire(s.v.ctx, func(ctx context.Context) (link.Frames, error) {
		context.AfterFunc(ctx, func() { s.proc.Signal(syscall.SIGKILL) }) // unblocks whatever waits for it
		return lineFrames{s.proc.Lines, s.proc, s.patience()}, nil
	}, report)
	if err != nil {
		return "", err
	}
	s.sender, w.judge = w, judgeLine
	s.proc.Lines.Begin()
	return s.openWire(w)
}

// judgeLine returns what is wrong with an answer that the host takes for a retry.
func judgeLine(r *pluginpb.Result) string {
	switch retry := r.GetRetry(); {
	case retry == nil:
		return ""
	case retry.GetReason() == link.AnswerContradicts:
		return fmt.Sprintf("an answer to seq %d that says several things, which counts as a retry", r.GetSeq())
	case strings.HasPrefix(retry.GetReason(), link.AnswerMisread):
		return fmt.Sprintf("an answer to seq %d that cannot be understood, which counts as a retry", r.GetSeq())
	case retry.GetReason() == "" && retry.GetCode() == "" && retry.GetAfter() == nil:
		return fmt.Sprintf("an answer to seq %d that says nothing, which counts as a retry", r.GetSeq())
	}
	return ""
}

// withMisread adds to an error the lines that may have been meant as answers.
func (s *session) withMisread(err error) error {
	if s.proc.Lines == nil {
		return err
	}
	if _, misread := s.transcript.stdout(); len(misread) > 0 {
		return fmt.Errorf("%w; %s", err, quoteSome(misread))
	}
	return err
}

// firstEvent shows whether a plugin answers at all. Programs that do not mostly leave
// their answers in a buffer.
func (s *session) firstEvent() (string, error) {
	got, err := s.oneEvent()
	w, ok := s.sender.(*wire)
	if err == nil || s.proc.Lines == nil || !ok || s.gone() {
		return got, err
	}
	_ = w.rpc.CloseSend()
	_ = w.until(verifyEnd, func(*pluginpb.DeliverResponse) (bool, error) { return !w.awaits(), nil })
	if !w.awaits() {
		err = errors.New("the answer came only at the end of the input: flush standard output after every line")
	}
	return "", err
}

// hello checks what a program says about itself.
func (s *session) hello() (string, error) {
	select {
	case <-s.proc.Lines.Greeted():
	default:
		return "", skip("it has none, and counts as ready when it has run for " + s.proc.Timings.Settle.String())
	}
	about := s.proc.Lines.Hello()
	if about.MaxInFlight < 0 || about.MaxInFlight > link.WindowMax {
		return "", fmt.Errorf("its max_in_flight is %d", about.MaxInFlight)
	}
	got := []string{strings.TrimSpace(about.Version + " " + about.Language)}
	for _, can := range about.Can {
		if known := can == "ping" || can == "cancel"; known {
			got = append(got, "can "+can)
		} else {
			got = append(got, fmt.Sprintf("%q means nothing", can))
		}
	}
	return strings.TrimPrefix(strings.Join(got, ", "), ", "), nil
}

// ifItCan skips a check of something that a program does not claim to understand.
func (s *session) ifItCan(what string, ask func() (string, error)) func() (string, error) {
	if s.proc.Lines == nil || s.proc.Lines.Hello().Understands(what) {
		return ask
	}
	return func() (string, error) { return "", skip("it does not say that it can") }
}

func (s *session) unknownWant() string {
	if s.proc.Lines != nil {
		return "unknown keys of an event are ignored"
	}
	return "they are ignored, and frames too"
}

// unknownKeys sends an event as a later version of the protocol might send it.
func (s *session) unknownKeys(e *pluginpb.Event) (string, error) {
	w := s.sender.(*wire)
	line, err := json.Marshal(link.EventLine(e))
	if err != nil {
		return "", skip(err.Error())
	}
	line = slices.Concat([]byte(`{"from_the_future":{"seq":0,"list":[null]},`), line[1:], []byte("\n"))
	w.known[e.GetSeq()] = true
	lines := w.rpc.(lineFrames)
	err = lines.write(func() error {
		_, err := lines.proc.Input().Write(line)
		return err
	})
	if err != nil {
		return "", s.withExit(err)
	}
	results, err := w.results(s.patience(), e)
	if err != nil {
		return "", s.withExit(err)
	}
	return tally(results), nil
}

// linesEnd ends a program's input, and checks what is left after that.
func (s *session) linesEnd() {
	w := s.sender.(*wire)
	s.check("end of input", "the results of what it has, then it ends by itself within 2 s", func() (string, error) { return s.endOfInput(w) })
	s.check("SIGTERM", "a program that runs on after the end of its input ends within 2 s of SIGTERM", func() (string, error) {
		if s.gone() {
			return "", skip("it had ended by itself")
		}
		s.proc.Signal(syscall.SIGTERM)
		return s.endsBy(time.Now())
	})
	s.proc.Kill()
	_ = w.until(s.proc.Timings.Reap, func(*pluginpb.DeliverResponse) (bool, error) { return false, nil }) // its last words
	s.v.check("nothing else", "no answer that is unexpected, unreadable, empty or contradictory", s.nothingOnStdout)
	s.v.check("nothing left", "when it has ended and its process group was killed, nothing of it still runs", s.nothingLeft)
}

func (s *session) endOfInput(w *wire) (string, error) {
	events, err := s.underWay(verifyBatch)
	if err != nil {
		return "", s.withExit(err)
	}
	if err := w.rpc.CloseSend(); err != nil {
		return "", s.withExit(err)
	}
	if got, err := w.results(s.patience(), events...); err != nil {
		return "", fmt.Errorf("%d of %d results: %w", len(got), len(events), s.withExit(err))
	}
	return s.endsBy(time.Now())
}

// nothingOnStdout is nothingElse for standard output, where a program can write more.
func (s *session) nothingOnStdout() (string, error) {
	other, misread := s.transcript.stdout()
	_, err := s.nothingElse()
	if len(misread) > 0 {
		err = errors.Join(err, errors.New(quoteSome(misread)))
	}
	if err != nil {
		return "", errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if len(other) > 0 {
		return fmt.Sprintf("%d other lines, which are logged: %s", len(other), quoteSome(other)), nil
	}
	return "", nil
}

// nothingLeft looks for processes in the program's working directory. The host does
// not kill one that has left the process group.
func (s *session) nothingLeft() (string, error) {
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return "", skip("this system does not show it")
	}
	work, err := filepath.EvalSymlinks(s.scratch.work)
	if err != nil {
		return "", skip(err.Error())
	}
	var left []string
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) { // dying takes a moment
		if left = processesIn(work); len(left) == 0 || time.Since(begun) > s.proc.Timings.Reap {
			break
		}
	}
	if len(left) > 0 {
		return "", fmt.Errorf("%d processes have left the group and still run: %s", len(left), strings.Join(left, ", "))
	}
	return "", nil
}

// processesIn returns the processes whose working directory is dir.
func processesIn(dir string) (found []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && at == dir {
			process := filepath.Dir(link)
			name, _ := os.ReadFile(filepath.Join(process, "comm"))
			found = append(found, strings.TrimSpace(filepath.Base(process)+" "+string(name)))
		}
	}
	return found
}

// strangeSettings gives a process settings that it does not know.
func (v *verifier) strangeSettings() {
	v.check("strange settings", "errors in the answer to configure, or it ignores them; not a crash, and not silence", func() (string, error) {
		if !v.settings {
			return "", skip("it has no settings")
		}
		file, err := os.CreateTemp("", "hookswitch")
		if err != nil {
			return "", skip(err.Error())
		}
		defer os.Remove(file.Name())
		_, err = file.WriteString(`{"hookswitch_verify":[null,{}]}`)
		if err := errors.Join(err, file.Close()); err != nil {
			return "", skip(err.Error())
		}
		cfg := v.cfg.Config
		cfg.Settings = file.Name()
		s := &session{v: v, Probe: startUntil(v.ctx, v.path, cfg, process.Configured)}
		defer s.end()
		switch p := s.Report.Problem; {
		case p == nil:
			return "ignored", nil
		case p.Kind == catalog.ProblemSettings && len(p.Detail) > 0:
			return "refused: " + p.Detail[0], nil
		default:
			return "", asError(p)
		}
	})
}
