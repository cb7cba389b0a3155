package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// outlet is standard output or standard error: everything this program prints
// goes through one of the two.
//
// It often prints the words of others, such as the id of an event or the answer
// of an app. They must not reach the operator's terminal as commands: an outlet
// shows control characters as \u001b, in the notation of JSON, so that JSON keeps
// its meaning. Line feeds and tabs pass, and so do this program's colours, which
// carry a secret seal.
type outlet struct {
	seal string // begins with an escape character
	tty  bool   // it is a terminal
	wide int    // its columns; 0 if it is not a terminal, or they are not known

	mu   sync.Mutex
	to   io.Writer            // guarded by mu
	log  *telemetry.LogWriter // guarded by mu: wraps to if nothing may wait for it
	rest []byte               // guarded by mu: the beginning of a character or of a colour
	err  error                // guarded by mu: the first write error
}

func newOutlet(w io.Writer) *outlet {
	if o, ok := w.(*outlet); ok {
		return o
	}
	o := &outlet{seal: "\x1b" + rand.Text(), tty: isTerminal(w), to: w}
	if f, ok := w.(*os.File); ok && o.tty {
		o.wide = columnsOf(f)
	}
	return o
}

// The ends of sealed sequences, and their effects. A colour ends with sealReset.
const (
	sealReset = '0'
	sealErase = 'E' // erases the line, and goes to its beginning
)

var sealed = map[byte]string{
	'g': "\x1b[32m", 'r': "\x1b[31m", 'y': "\x1b[33m", 'b': "\x1b[1m", 'f': "\x1b[2m",
	sealReset: "\x1b[0m", sealErase: "\r\x1b[K",
}

// paint returns a function that colours a text for this outlet.
func (o *outlet) paint(color byte) paint {
	return func(text ...any) string {
		return o.seal + string(color) + fmt.Sprint(text...) + o.seal + string(sealReset)
	}
}

// erase returns the sequence that erases the current line.
func (o *outlet) erase() string { return o.seal + string(sealErase) }

// Write implements [io.Writer]. A character may be written in pieces.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	clean := p
	if len(o.rest) > 0 || bytes.ContainsFunc(p, risky) {
		clean = o.clean(append(o.rest, p...))
	}
	if _, err := o.to.Write(clean); err != nil {
		o.err = cmp.Or(o.err, err)
		return 0, err
	}
	return len(p), nil
}

// clean returns p in printable form, and keeps an incomplete end.
func (o *outlet) clean(p []byte) []byte {
	o.rest = nil
	out := make([]byte, 0, len(p)+32)
	for len(p) > 0 {
		if p[0] == '\x1b' {
			n := len(o.seal)
			switch {
			case len(p) > n && string(p[:n]) == o.seal && sealed[p[n]] != "":
				out = append(out, sealed[p[n]]...)
				p = p[n+1:]
				continue
			case len(p) <= n && string(p) == o.seal[:len(p)]:
				o.rest = bytes.Clone(p)
				return out
			}
		}
		if !utf8.FullRune(p) {
			o.rest = bytes.Clone(p)
			return out
		}
		r, n := utf8.DecodeRune(p)
		out = appendShown(out, r)
		p = p[n:]
	}
	return out
}

// appendShown appends a character in a form that is safe for a terminal.
func appendShown(out []byte, r rune) []byte {
	switch {
	case !risky(r):
		return utf8.AppendRune(out, r)
	case r == utf8.RuneError:
		return append(out, "\uFFFD"...) // a byte that is not UTF-8, such as C1 of one byte
	case r > 0xFFFF:
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// risky reports whether a terminal may take a character for a command, or show
// the text after it in another order or not at all. utf8.RuneError may replace
// such a byte.
func risky(r rune) bool {
	switch {
	case r == '\n' || r == '\t' || r >= ' ' && r < 0x7f:
		return false
	case r < 0xa0: // C0 and C1
		return true
	case r == 0x061c || r == 0x200e || r == 0x200f, // marks of direction
		r >= 0x2028 && r <= 0x202e,   // ends of lines and paragraphs; embeddings and overrides
		r >= 0x2066 && r <= 0x206f,   // isolates, and deprecated shapes
		r >= 0xfff9 && r <= 0xfffb,   // annotations
		r >= 0xe0000 && r <= 0xe007f, // tags, which are invisible
		r == utf8.RuneError:
		return true
	}
	return false
}

// oneLine returns a stranger's text in a form for use within a line of ours: a
// line feed in it must not begin a line that looks like ours. It equals the
// outlet's output, so that columns are as wide as they look.
func oneLine(s string) string {
	s = breaks.Replace(s)
	if !strings.ContainsFunc(s, risky) {
		return s
	}
	var out []byte
	for _, r := range s {
		out = appendShown(out, r)
	}
	return string(out)
}

var breaks = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ")

// exact returns a writer that changes nothing, if the output is a file or another
// program and not a terminal.
func (o *outlet) exact() io.Writer {
	if o.tty {
		return o
	}
	return (*exactOutlet)(o)
}

type exactOutlet outlet

func (o *exactOutlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.to.Write(p)
	o.err = cmp.Or(o.err, err)
	return n, err
}

// detach makes printing never wait: lines are lost if they are not read.
func (o *outlet) detach(name string) *telemetry.LogWriter {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.log == nil {
		o.log = telemetry.NewLogWriter(o.to, name)
		o.to = o.log
	}
	return o.log
}

// lastLines is how long the end of the program waits for a reader that takes
// nothing.
const lastLines = 250 * time.Millisecond

// end writes what is left, and returns the first write error. It does not wait
// for a reader that has stopped.
func (o *outlet) end() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rest) > 0 {
		o.rest = nil
		_, _ = io.WriteString(o.to, "\uFFFD")
	}
	if o.log != nil {
		o.log.Flush(lastLines)
	}
	return o.err
}
