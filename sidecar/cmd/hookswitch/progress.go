package main

import (
	"fmt"
	"io"
	"time"
)

// progress shows the progress of long work: in one changing line on a terminal,
// otherwise in a line now and then. Short work shows none.
type progress struct {
	w     io.Writer
	tty   bool
	verb  string // "replayed"
	total int    // 0: unknown
	start time.Time
	shown time.Time
	drawn bool // a line on the terminal has to be erased
}

func newProgress(w io.Writer, verb string, total int) *progress {
	now := time.Now()
	return &progress{w: w, tty: isTerminal(w), verb: verb, total: total, start: now, shown: now}
}

// at shows that n are done, if it is time to show it.
func (p *progress) at(n int) {
	now, pause := time.Now(), 5*time.Second
	if p.tty {
		pause = 200 * time.Millisecond
	}
	if now.Sub(p.shown) < pause {
		return
	}
	p.shown = now
	text := p.text(n, now.Sub(p.start))
	if !p.tty {
		fmt.Fprintln(p.w, text)
		return
	}
	fmt.Fprint(p.w, p.erase()+cut(text, screenWidth-1))
	p.drawn = true
}

// text returns a line such as "replayed 120 of 5000 (2%)  40/s  2m02s left".
func (p *progress) text(n int, took time.Duration) string {
	text := fmt.Sprintf("%s %d", p.verb, n)
	if p.total > 0 {
		text += fmt.Sprintf(" of %d (%d%%)", p.total, 100*n/p.total)
	}
	rate := float64(n) / max(took.Seconds(), 1e-9)
	if n == 0 {
		return text
	}
	text += fmt.Sprintf("  %.3g/s", rate)
	if left := p.total - n; left > 0 {
		text += "  " + age(time.Duration(float64(left)/rate*float64(time.Second))) + " left"
	}
	return text
}

// erase returns the sequence that erases the line on a terminal.
func (p *progress) erase() string {
	if o, ok := p.w.(*outlet); ok {
		return o.erase()
	}
	return "\n"
}

// end erases the line, so that the next output stands alone.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.w, p.erase())
		p.drawn = false
	}
}
