package telemetry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// gate is a writer that waits while it is closed, and fails with err if there is
// one.
type gate struct {
	mu     sync.Mutex
	opened *sync.Cond
	open   bool
	err    error
	text   bytes.Buffer
}

func newGate() *gate {
	g := &gate{}
	g.opened = sync.NewCond(&g.mu)
	return g
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.open && g.err == nil {
		g.opened.Wait()
	}
	if g.err != nil {
		return 0, g.err
	}
	return g.text.Write(p)
}

// take returns what was written since it was called last.
func (g *gate) take() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.text.Reset()
	return g.text.String()
}

func (g *gate) set(open bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open, g.err = open, err
	g.opened.Broadcast()
}

// TestLogWriterWaitsForNobody: a reader that stops costs the lines that do not
// fit, all in one place, where a line says how many they were.
func TestLogWriterWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		l := telemetry.NewLogWriter(g, "standard error")
		l.LogAs("json")
		line := strings.Repeat("x", 99) + "\n"
		const written = 100_000 // 10 MB
		for i := range written {
			if n, err := l.Write(fmt.Appendf(nil, "%06d%s", i, line[6:])); n != 100 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		lost := l.Lost()
		if want := fmt.Sprintf("standard error has not been read for 2s: %d lines are lost so far", lost); l.Trouble() != want || lost == 0 {
			t.Errorf("trouble: %q, want %q", l.Trouble(), want)
		}
		start := time.Now()
		l.Flush(250 * time.Millisecond)
		if took := time.Since(start); took > 0 {
			t.Errorf("it waited %v for a writer that has taken nothing for 2 s", took)
		}
		g.set(true, nil)
		synctest.Wait()
		if l.Trouble() != "" {
			t.Errorf("trouble after it flows again: %q", l.Trouble())
		}
		_, _ = io.WriteString(l, "after\n")
		synctest.Wait()
		lines := strings.Split(strings.TrimSuffix(g.take(), "\n"), "\n")
		n := len(lines)
		if n != written-int(lost)+2 {
			t.Fatalf("%d lines arrived and %d were lost, of %d", n, lost, written)
		}
		for i, line := range lines[:n-2] {
			if !strings.HasPrefix(line, fmt.Sprintf("%06d", i)) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		if notice := lines[n-2]; !strings.Contains(notice, `"code":"log-lost"`) || !strings.Contains(notice, fmt.Sprintf(`"lines":%d`, lost)) {
			t.Errorf("the notice: %s", notice)
		}
		if lines[n-1] != "after" {
			t.Errorf("the line behind the notice: %s", lines[n-1])
		}
	})
}

// TestLogWriterWhoseReaderGoes: lines are lost at once, and told of when
// somebody reads again.
func TestLogWriterWhoseReaderGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.set(true, nil)
		l := telemetry.NewLogWriter(g, "standard output")
		_, _ = io.WriteString(l, "before\n")
		synctest.Wait()
		g.set(true, errors.New("broken pipe"))
		for range 7 {
			_, _ = io.WriteString(l, "lost\n")
			synctest.Wait()
		}
		if want := "standard output cannot be written to, its reader may have gone: 7 lines are lost so far"; l.Trouble() != want {
			t.Errorf("trouble: %q, want %q", l.Trouble(), want)
		}
		g.set(true, nil)
		time.Sleep(2 * time.Second)
		_, _ = io.WriteString(l, "lost, too\n") // makes it try
		synctest.Wait()
		_, _ = io.WriteString(l, "after\n")
		l.Flush(time.Second)
		if got, want := g.take(), "before\nhookswitch: 8 lines are missing here: standard output was not read\nafter\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestLogWriterFlush: the end waits for a writer that is slow, not for one that
// has stopped.
func TestLogWriterFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		l := telemetry.NewLogWriter(g, "standard error")
		_, _ = io.WriteString(l, "last words\n")
		start := time.Now()
		l.Flush(250 * time.Millisecond)
		if took := time.Since(start); took < 250*time.Millisecond || took > time.Second {
			t.Errorf("it waited %v", took)
		}
		go func() { time.Sleep(100 * time.Millisecond); g.set(true, nil) }()
		_, _ = io.WriteString(l, "more\n")
		l2 := telemetry.NewLogWriter(g, "standard error")
		_, _ = io.WriteString(l2, "of another\n")
		l2.Flush(250 * time.Millisecond)
		if got := g.take(); !strings.Contains(got, "of another") {
			t.Errorf("it did not wait: %q", got)
		}
	})
}

// TestLogWriterKeepsLinesWhole: pieces are at most what a pipe takes at once,
// and end with a line.
func TestLogWriterKeepsLinesWhole(t *testing.T) {
	var mu sync.Mutex
	var pieces []string
	w := writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		pieces = append(pieces, string(p))
		return len(p), nil
	})
	l := telemetry.NewLogWriter(w, "standard error")
	mu.Lock() // so that it all waits
	var want strings.Builder
	for i := range 2000 {
		line := strings.Repeat("y", i%300) + "\n"
		if i == 1000 {
			line = strings.Repeat("z", 10_000) + "\n"
		}
		want.WriteString(line)
		_, _ = io.WriteString(l, line)
	}
	mu.Unlock()
	l.Flush(10 * time.Second)
	mu.Lock()
	defer mu.Unlock()
	if strings.Join(pieces, "") != want.String() {
		t.Error("what was written is not what arrived")
	}
	for _, p := range pieces {
		if !strings.HasSuffix(p, "\n") || len(p) > 4096 && strings.Count(p, "\n") > 1 {
			t.Errorf("a piece of %d bytes: %.20q…", len(p), p)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestBrake: refused requests cost some lines, others all of theirs; what was
// left out is summed up by reason, at the latest after 10 s.
func TestBrake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		out.set(true, nil)
		log, err := telemetry.NewLogger(out, "text", nil)
		if err != nil {
			t.Fatal(err)
		}
		log = log.With("a", "b")
		for i := range 500 {
			log.Warn("request rejected", "code", telemetry.CodeRequestRejected, "reason", "bad_signature", "i", i)
		}
		log.Warn("request rejected", "code", telemetry.CodeRequestRejected, "reason", "too_old")
		log.Warn("something else", "code", telemetry.CodeDeadLetter)
		if got := out.take(); strings.Count(got, "bad_signature") != 20 || !strings.Contains(got, "reason=too_old") {
			t.Errorf("the lines:\n%s", got)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := out.take(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "code=request-rejected reason=bad_signature left_out=480") {
			t.Errorf("the sum:\n%s", got)
		}
		for range 30 {
			log.Warn("request rejected", "code", telemetry.CodeRequestRejected, "reason", "bad_signature")
		}
		out.take()
		telemetry.SumUp(log)
		if got := out.take(); !strings.Contains(got, "left_out=19") {
			t.Errorf("the sum at the end:\n%s", got)
		}
		for range 100 { // what any request can cause, has no reason
			log.Error("verdicts differ", "code", telemetry.CodeVerdictsDiffer)
		}
		if got := out.take(); strings.Count(got, "verdicts-differ") != 20 {
			t.Errorf("lines of verdicts:\n%s", got)
		}
		for i := range 1000 { // reasons that nobody has foreseen
			log.Warn("request rejected", "code", telemetry.CodeRequestRejected, "reason", fmt.Sprint("reason ", i))
		}
		out.take()
		telemetry.SumUp(log)
		if n := strings.Count(out.take(), "\n"); n > 64 {
			t.Errorf("%d kinds", n)
		}
	})
}
