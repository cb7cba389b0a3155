package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
)

// TestEdgeLogReaderThatStops puts load on a sidecar while the reader of its log
// stops and continues at random, for ten minutes in the long form: every event is
// acknowledged within the budget, and each line is read or counted as lost.
// Beside it runs one without such a log, to tell a slow machine from a log that
// is waited for.
func TestEdgeLogReaderThatStops(t *testing.T) {
	edges.Need(t)
	length, longest := 6*time.Second, 4*time.Second // a pause is longer than the budget
	if edges.Long() {
		length, longest = 10*time.Minute, time.Minute // more than can wait
	}
	if text := os.Getenv("HOOKSWITCH_EDGES_LOG"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	reader, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	start := func(stderr *os.File) *process {
		env, key := home(t)
		env = append(env, "HOOKSWITCH_FORWARD_TO="+newCountingApp(t).URL, "HOOKSWITCH_LOG_LEVEL=debug", "HOOKSWITCH_LOG_FORMAT=json")
		return startProcess(t, env, key, null, stderr, "run")
	}
	log := newFitfulReader(reader, longest)
	r, control := start(w), start(null)
	w.Close()
	var wg sync.WaitGroup
	var tried, other timings
	end := time.Now().Add(length)
	wg.Go(func() { tried = load(t, r, end) })
	wg.Go(func() { other = load(t, control, end) })
	wg.Wait()
	stopped := log.stop() // it does not read while the sidecar ends
	told := time.Now()
	if code := r.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	ended := time.Since(told)
	accepted, lost := log.rest()
	t.Logf("in %v, with a budget of %v: %v; beside it, with a log that nobody reads: %v; the reader stopped %d times; %d lines of acceptance read, %d lines counted as lost; ended within %v",
		length, accept.DefaultAckBudget, tried, other, stopped, accepted, lost, ended)
	switch {
	case tried.late+tried.refused == 0:
	case other.late+other.refused > 0: // its log goes nowhere
		t.Logf("the machine is too slow for the budget, whatever becomes of the log")
	default:
		t.Errorf("%d were slower than the budget, and %d refused", tried.late, tried.refused)
	}
	// Lines that had not been read when the process ended are gone with it.
	if events := len(tried.took); accepted > events || lost == 0 && accepted < events/2 {
		t.Errorf("of %d events %d were logged, and %d lines counted as lost", events, accepted, lost)
	}
	if stopped < 2 { // and the last time it stays so
		t.Errorf("the reader stopped %d times", stopped)
	}
}

// timings are the results of sending events.
type timings struct {
	took          []time.Duration // in order
	late, refused int
}

func (r timings) String() string {
	at := func(n int) time.Duration { return r.took[(len(r.took)-1)*n/1000].Round(time.Millisecond) }
	return fmt.Sprintf("%d events, p50 %v, p99 %v, p99.9 %v, slowest %v, %d over the budget, %d refused",
		len(r.took), at(500), at(990), at(999), at(1000), r.late, r.refused)
}

// load sends events from a few clients until a time.
func load(t *testing.T, r *process, end time.Time) (sum timings) {
	const clients, every = 4, 20 * time.Millisecond
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			client := &http.Client{Timeout: patience, Transport: new(http.Transport)}
			defer client.CloseIdleConnections()
			tick := time.NewTicker(every)
			defer tick.Stop()
			for now := range tick.C {
				if now.After(end) {
					return
				}
				status, took := r.send(t, client)
				mu.Lock()
				sum.took = append(sum.took, took)
				if took > accept.DefaultAckBudget {
					sum.late++
				}
				if status != http.StatusOK {
					sum.refused++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(sum.took)
	return sum
}

// fitfulReader reads a log in bursts, and counts what it finds.
type fitfulReader struct {
	halt, done chan struct{}
	from       *os.File
	lines      *bufio.Reader
	part       string // of a line

	// Read after done.
	pauses, accepted, lost int
}

func newFitfulReader(f *os.File, longest time.Duration) *fitfulReader {
	r := &fitfulReader{halt: make(chan struct{}), done: make(chan struct{}), from: f, lines: bufio.NewReader(f)}
	go func() {
		defer close(r.done)
		for {
			for until := time.Now().Add(time.Duration(rand.Int64N(int64(longest) / 4))); time.Now().Before(until); {
				if !r.line() {
					r.pauses++
					return
				}
			}
			r.pauses++
			select {
			case <-r.halt:
				return
			case <-time.After(longest/2 + time.Duration(rand.Int64N(int64(longest)/2))): // the pause is the test
			}
		}
	}()
	return r
}

var lostLines = regexp.MustCompile(`"code":"log-lost","lines":(\d+)`)

// line reads a line, and reports whether there was a whole one.
func (r *fitfulReader) line() bool {
	text, err := r.lines.ReadString('\n')
	if text = r.part + text; errors.Is(err, os.ErrDeadlineExceeded) {
		r.part = text
		return false
	}
	r.part = ""
	if strings.Contains(text, `"msg":"event accepted"`) {
		r.accepted++
	}
	if m := lostLines.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // the pattern says digits
		r.lost += n
	}
	return err == nil
}

// stop stops reading for good, also in the middle of a burst that has no line to read,
// and returns how often that happened.
func (r *fitfulReader) stop() int {
	close(r.halt)
	_ = r.from.SetReadDeadline(time.Unix(1, 0)) // a pipe has them on every system of this test
	<-r.done
	return r.pauses
}

// rest reads what is left, and returns what was read in all.
func (r *fitfulReader) rest() (accepted, lost int) {
	_ = r.from.SetReadDeadline(time.Time{})
	for r.line() {
	}
	return r.accepted, r.lost
}
