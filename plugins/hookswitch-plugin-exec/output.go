package main

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	linesMax = 100     // logged of one stream of one command
	lineMax  = 4 << 10 // bytes; longer ones are cut
	tailMax  = 3 << 10 // bytes of output that are kept for the record
)

// output takes what a command prints: the first lines go to the log, and the
// end is kept. It is used by one goroutine at a time.
type output struct {
	log   func(line string)
	line  []byte // begun and not yet ended
	lines int
	tail  []byte
	cut   bool // the tail is not the whole output
}

func newOutput(log func(line string)) *output { return &output{log: log} }

// Write never fails: a command must not be hurt by what it prints.
func (o *output) Write(p []byte) (int, error) {
	n := len(p)
	o.cut = o.cut || n > tailMax
	o.tail = append(o.tail, p[max(0, n-tailMax):]...)
	if over := len(o.tail) - tailMax; over > 0 {
		o.tail, o.cut = append(o.tail[:0], o.tail[over:]...), true
	}
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		o.line = append(o.line, part[:min(len(part), max(0, lineMax-len(o.line)))]...)
		if ended {
			o.endLine()
		}
		p = rest
	}
	return n, nil
}

func (o *output) endLine() {
	text := printable(o.line)
	o.line = o.line[:0]
	if strings.TrimSpace(text) == "" {
		return
	}
	if o.lines++; o.lines <= linesMax {
		o.log(text)
	}
}

// finish ends the last line and reports how many were left out.
func (o *output) finish() {
	if len(o.line) > 0 {
		o.endLine()
	}
	if more := o.lines - linesMax; more > 0 {
		o.log(fmt.Sprintf("… and %d lines more", more))
	}
}

// text returns the end of what was printed, in whole lines if there are any.
func (o *output) text() string {
	tail := o.tail
	if _, lines, found := bytes.Cut(tail, []byte("\n")); o.cut && found && len(lines) > 0 {
		tail = lines
	}
	return strings.TrimRight(printable(tail), "\n")
}

// printable drops what a record cannot have.
func printable(text []byte) string {
	return strings.TrimRight(strings.ToValidUTF8(strings.ReplaceAll(string(text), "\x00", ""), ""), "\r")
}

// lastLine returns the last line that has something in it.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
