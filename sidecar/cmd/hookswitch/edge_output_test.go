package main

import (
	"bufio"
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
// stops and goes on at random, for ten minutes in the long form: every event is
// acknowledged within the budget, and each line is read or counted as lost.
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
	const clients, every = 4, 10 * time.Millisecond
	app := newCountingApp(t)
	env, key := home(t)
	env = append(env, "HOOKSWITCH_FORWARD_TO="+app.URL, "HOOKSWITCH_LOG_LEVEL=debug", "HOOKSWITCH_LOG_FORMAT=json")
	reader, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	log := newFitfulReader(reader, longest)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r := startProcess(t, env, key, null, w, "run")
	w.Close()

	var mu sync.Mutex
	var took []time.Duration
	refused := 0
	var wg sync.WaitGroup
	end := time.Now().Add(length)
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
				status, d := r.send(t, client)
				mu.Lock()
				if took = append(took, d); status != http.StatusOK {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	slowest := took[len(took)-1]
	late, _ := slices.BinarySearch(took, accept.DefaultAckBudget)
	late = len(took) - late
	p99 := took[len(took)*99/100]
	stopped := log.stop() // it does not read while the sidecar ends
	start := time.Now()
	if code := r.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	ended := time.Since(start)
	accepted, lost := log.rest()
	t.Logf("%d events in %v: p50 %v, p99 %v, slowest %v; %d over the budget of %v, %d refused; the reader stopped %d times; %d lines of acceptance read, %d lines counted as lost; ended within %v",
		len(took), length, took[len(took)/2], p99, slowest, late, accept.DefaultAckBudget, refused, stopped, accepted, lost, ended)
	if late > 0 || refused > 0 {
		t.Errorf("%d were slower than the budget, and %d refused", late, refused)
	}
	// What had not been read when the process ended is gone with it.
	if accepted > len(took) || lost == 0 && accepted < len(took)/2 {
		t.Errorf("of %d events %d were logged, and %d lines counted as lost", len(took), accepted, lost)
	}
	if stopped < 2 { // and the last time it stays so
		t.Errorf("the reader stopped %d times", stopped)
	}
}

// fitfulReader reads a log in bursts, and counts what it finds.
type fitfulReader struct {
	halt, done chan struct{}
	lines      *bufio.Reader

	// Read after done.
	pauses, accepted, lost int
}

func newFitfulReader(f *os.File, longest time.Duration) *fitfulReader {
	r := &fitfulReader{halt: make(chan struct{}), done: make(chan struct{}), lines: bufio.NewReader(f)}
	go func() {
		defer close(r.done)
		for {
			for until := time.Now().Add(time.Duration(rand.Int64N(int64(longest) / 4))); time.Now().Before(until); {
				if !r.line() {
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

// line reads a line, and reports whether there was one.
func (r *fitfulReader) line() bool {
	text, err := r.lines.ReadString('\n')
	if strings.Contains(text, `"msg":"event accepted"`) {
		r.accepted++
	}
	if m := lostLines.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // the pattern says digits
		r.lost += n
	}
	return err == nil
}

// stop stops reading for good, and returns how often that happened.
func (r *fitfulReader) stop() int {
	close(r.halt)
	<-r.done
	return r.pauses
}

// rest reads what is left, and returns what was read in all.
func (r *fitfulReader) rest() (accepted, lost int) {
	for r.line() {
	}
	return r.accepted, r.lost
}
