//go:build unix

package plugins

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// faulty reads JSON lines and keeps all rules but the one that its argument
// names.
func faulty() {
	if os.Args[1] == "stray" {
		stray()
		return
	}
	p := &faultyProgram{fault: os.Args[1]}
	p.begin()
	in := bufio.NewScanner(os.Stdin)
	if p.fault != "short lines" { // the default of Go's scanner
		in.Buffer(nil, 32<<20)
	}
	for in.Scan() {
		p.take(in.Bytes())
	}
	if err := in.Err(); err != nil {
		panic(err)
	}
	switch p.fault {
	case "buffers":
		fmt.Fprint(rawStdout, p.buffer.String())
	case "endless", "immortal":
		select {}
	}
}

type faultyProgram struct {
	fault  string
	buffer strings.Builder // of answers that are not flushed
	last   bool            // what follows is not answered
}

func (p *faultyProgram) begin() {
	hello := `{"hello":{"version":"1","language":"go","max_in_flight":64,"can":["ping","cancel"]}}`
	switch p.fault {
	case "ends":
		os.Exit(0)
	case "greedy":
		hello = strings.Replace(hello, "64", "5000", 1)
	case "modest", "one at a time", "keeps the last":
		hello = ""
	case "noise":
		fmt.Fprintln(rawStdout, "connected to the crm")
	case "immortal":
		signal.Ignore(syscall.SIGTERM)
	case "good":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
	case "gives up":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		go func() {
			<-signals
			time.Sleep(100 * time.Millisecond) // as on a busy machine
			rawStdout.Close()
		}()
	case "leaves":
		child := exec.Command(os.Args[0], "stray")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		child.Env = os.Environ()
		if err := child.Start(); err != nil {
			panic(err)
		}
	}
	if hello != "" {
		fmt.Fprintln(rawStdout, hello)
	}
}

// stray runs on until its working directory is removed.
func stray() {
	dir, err := os.Getwd()
	for err == nil {
		time.Sleep(20 * time.Millisecond)
		_, err = os.Stat(dir)
	}
}

type faultyLine struct {
	Seq       uint64      `json:"seq"`
	Attempt   int         `json:"attempt"`
	Body      *string     `json:"body"`
	Headers   [][2]string `json:"headers"`
	Ping      *uint64     `json:"ping"`
	Cancel    uint64      `json:"cancel"`
	Configure *struct{ Settings map[string]any }
}

func (p *faultyProgram) take(text []byte) {
	var line faultyLine
	if err := json.Unmarshal(text, &line); err != nil {
		panic(err)
	}
	future := bytes.Contains(text, []byte("from_the_future"))
	breaks := map[string]bool{
		"forgets":       line.Attempt == 2,
		"plain text":    line.Body != nil && strings.Contains(*line.Body, "\u2028"),
		"needs a body":  line.Seq > 0 && line.Body == nil,
		"headers":       strings.Contains(fmt.Sprint(line.Headers), "X-Twice 2"),
		"strict":        future,
		"cancels blind": line.Cancel > 1000,
		"fussy":         line.Configure != nil && line.Configure.Settings["hookswitch_verify"] != nil,
	}
	switch {
	case breaks[p.fault]:
		panic(p.fault)
	case line.Configure != nil:
		if p.fault != "not configured" {
			p.say(`{"configured":{}}`)
		}
	case line.Ping != nil:
		p.pong(*line.Ping)
	case line.Seq > 0 && !p.last:
		p.answer(line.Seq)
		p.last = p.fault == "keeps the last" && future || p.fault == "deaf"
		for p.fault == "deaf" {
			time.Sleep(time.Hour)
		}
	}
}

func (p *faultyProgram) say(format string, args ...any) {
	fmt.Fprintf(rawStdout, format+"\n", args...)
}

func (p *faultyProgram) pong(id uint64) {
	switch p.fault {
	case "no pong":
	case "other pong":
		p.say(`{"pong":%d}`, id+1)
	default:
		p.say(`{"pong":%d}`, id)
	}
}

func (p *faultyProgram) answer(seq uint64) {
	switch p.fault {
	case "mute":
	case "buffers":
		fmt.Fprintf(&p.buffer, "{\"seq\":%d,\"ok\":true}\n", seq)
	case "no JSON":
		p.say(`{'seq': %d, 'ok': True}`, seq)
	case "other seq":
		p.say(`{"seq":%d,"ok":true}`, seq+1000)
	case "wordy":
		p.say(`{"seq":%d,"ok":true,"text":%q}`, seq, strings.Repeat("x", 300<<10))
	case "twice":
		p.say(`{"seq":%[1]d,"ok":true}`+"\n"+`{"seq":%[1]d,"ok":true}`, seq)
	case "unasked":
		p.say(`{"seq":%d,"ok":true}`+"\n"+`{"seq":1000000,"ok":true}`, seq)
	case "nothing to say":
		p.say(`{"seq":%d}`, seq)
	case "contradicts":
		p.say(`{"seq":%d,"ok":true,"fail":"no"}`, seq)
	case "other type":
		p.say(`{"seq":%d,"ok":"yes"}`, seq)
	case "loses one":
		if seq != 5 {
			p.say(`{"seq":%d,"ok":true}`, seq)
		}
	case "loses one of many":
		if seq != 40 {
			p.say(`{"seq":%d,"ok":true}`, seq)
		}
	default:
		p.say(`{"seq":%d,"ok":true}`, seq)
	}
}
