package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// logHeld bounds the bytes waiting to be written: seconds of a busy log.
	logHeld = 4 << 20

	// logChunk is how much a pipe takes in one piece (PIPE_BUF), so that lines of
	// several processes that share it stay whole.
	logChunk = 4096

	// A write that takes longer than logStalled is reported, and one that
	// failed is tried again after logRetry.
	logStalled = time.Second
	logRetry   = time.Second

	// logFlush bounds how long the end of a process waits for a writer that
	// does take lines, if slowly.
	logFlush = 2 * time.Second
)

// LogWriter passes lines on to another writer without making anybody wait for
// it: a goroutine writes them. If the reader on the other side stops, lines wait
// until [logHeld] is full and are lost from then on; if it goes away they are
// lost at once. When it takes lines again, the first one says how many are
// missing in that place.
//
// Once a line is lost, so are all others until those waiting are written: one
// gap is easier to understand than many.
//
// It is safe for concurrent use.
type LogWriter struct {
	w    io.Writer
	name string // of w, for people

	mu      sync.Mutex
	notice  func(lines uint64) []byte // guarded by mu
	queue   []byte                    // guarded by mu: whole lines
	held    int                       // guarded by mu: bytes of queue and of the batch being written
	running bool                      // guarded by mu: the goroutine is there
	gap     bool                      // guarded by mu: lines are lost until the notice of it is written
	lost    uint64                    // guarded by mu: lines in total
	told    uint64                    // guarded by mu: those that a notice has reported
	began   time.Time                 // guarded by mu: when the write under way began; zero without one
	moved   time.Time                 // guarded by mu: of the latest progress, or attempt
	failed  error                     // guarded by mu: of the last write
}

// NewLogWriter returns a LogWriter to w; name is for people, such as "standard
// error".
func NewLogWriter(w io.Writer, name string) *LogWriter {
	l := &LogWriter{w: w, name: name}
	l.notice = func(lines uint64) []byte {
		return fmt.Appendf(nil, "hookswitch: %d lines are missing here: %s was not read\n", lines, name)
	}
	return l
}

// LogAs makes the notice of missing lines a log line in this format.
func (l *LogWriter) LogAs(format string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notice = func(lines uint64) []byte {
		var line bytes.Buffer
		if log, err := NewLogger(&line, format, slog.LevelInfo); err == nil {
			log.Warn("log lines are missing here: "+l.name+" was not read", "code", CodeLogLost, "lines", lines)
		}
		return line.Bytes()
	}
}

// Write takes whole lines. It returns no error and does not wait.
func (l *LogWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gap && l.held+len(p) <= logHeld {
		l.queue = append(l.queue, p...)
		l.held += len(p)
	} else {
		l.gap = true
		l.lost += lines(p)
	}
	if !l.running && (!l.gap || time.Since(l.moved) > logRetry) {
		l.running, l.moved = true, time.Now()
		go l.drain()
	}
	return len(p), nil
}

// lines counts lines; the last may lack its end.
func lines(p []byte) uint64 {
	n := bytes.Count(p, []byte("\n"))
	if len(p) > 0 && p[len(p)-1] != '\n' {
		n++
	}
	return uint64(n)
}

// drain writes the waiting lines, and ends when there are none.
func (l *LogWriter) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		batch := l.queue
		l.queue = nil
		switch {
		case len(batch) > 0:
			l.writeAll(batch)
			continue
		case l.gap:
			lost := l.lost
			l.gap = false // later lines have their place behind the notice
			if l.write(l.notice(lost - l.told)) {
				l.told = lost
				continue
			}
			l.gap = true
			l.lost += lines(l.queue)
			l.queue, l.held = nil, 0
		}
		l.running = false
		return
	}
}

// writeAll writes lines in pieces. The caller holds mu.
func (l *LogWriter) writeAll(batch []byte) {
	for len(batch) > 0 {
		n := len(batch)
		if n > logChunk {
			n = 1 + bytes.LastIndexByte(batch[:logChunk], '\n')
			if n == 0 { // a long line
				n = 1 + bytes.IndexByte(batch, '\n')
			}
			if n == 0 {
				n = len(batch)
			}
		}
		if !l.write(batch[:n]) {
			l.gap = true
			l.lost += lines(batch)
			l.held -= len(batch)
			return
		}
		l.held -= n
		batch = batch[n:]
	}
}

// write writes one piece, and reports whether that worked. The caller holds mu,
// which is free meanwhile.
func (l *LogWriter) write(p []byte) bool {
	l.began = time.Now()
	l.mu.Unlock()
	_, err := l.w.Write(p)
	l.mu.Lock()
	l.began, l.moved, l.failed = time.Time{}, time.Now(), err
	return err == nil
}

// Lost returns how many lines were lost in total.
func (l *LogWriter) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Trouble returns why lines do not reach their reader at the moment, or "".
func (l *LogWriter) Trouble() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := fmt.Sprintf("%d lines are lost so far", l.lost)
	switch {
	case !l.began.IsZero() && time.Since(l.began) > logStalled:
		return fmt.Sprintf("%s has not been read for %s: %s", l.name, time.Since(l.began).Round(time.Second), lost)
	case l.gap && l.failed != nil:
		return l.name + " cannot be written to, its reader may have gone: " + lost
	case l.gap:
		return l.name + " is read too slowly: " + lost
	}
	return ""
}

// Flush waits while lines are being written, but not for a writer that has taken
// none for patience, and never for long.
func (l *LogWriter) Flush(patience time.Duration) {
	end := time.Now().Add(logFlush)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		l.mu.Lock()
		done := !l.running || time.Since(l.moved) > patience
		l.mu.Unlock()
		if done || time.Now().After(end) {
			return
		}
		<-tick.C
	}
}
